//! An OTLP/HTTP receiver on the loopback interface that keeps what it is sent and answers as it is
//! told to.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::Trace;

/// A running receiver. It stops listening when the process ends.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    received: Vec<Received>,
    script: VecDeque<Answer>,
    connections: usize,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request's path and query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body's size on the wire, in bytes.
    pub wire_bytes: usize,
    /// The body, as it was before it was compressed.
    pub body: Vec<u8>,
    /// What the body says, if it is a valid request.
    pub request: Option<ExportTraceServiceRequest>,
    /// The status that was answered.
    pub status: u16,
}

/// What the receiver answers to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers, besides the ones that HTTP needs.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer that is a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

impl Receiver {
    /// Starts a receiver that takes everything.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a receiver there is no test")]
    pub fn start() -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).expect("listen on the loopback interface");
        let address = listener.local_addr().expect("the listener's own address");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let state = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                lock(&state).connections += 1;
                // A client that goes away in the middle is none of the receiver's business.
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to give to a charm.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next requests with these, one each; afterwards everything is taken again.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.shared).script.extend(answers);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Received> {
        lock(&self.shared).received.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        lock(&self.shared).connections
    }

    /// The traces of all requests that were answered with success, in the order in which their
    /// first spans came.
    pub fn traces(&self) -> Vec<Trace> {
        let accepted = |received: &Received| (200..300).contains(&received.status);
        let requests = self.requests();
        crate::decode(requests.iter().filter(|r| accepted(r)).filter_map(|r| r.request.as_ref()))
    }

    /// The one trace that came.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    #[expect(clippy::panic, reason = "an assertion of tests")]
    pub fn trace(&self) -> Trace {
        match &self.traces()[..] {
            [trace] => trace.clone(),
            traces => panic!("one trace wanted, {} came: {traces:?}", traces.len()),
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of one connection until the client closes it.
fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader)? {
        let body = read_body(&mut reader, &head)?;
        let answer = record(shared, head, &body);
        respond(&mut writer, &answer)?;
    }
    Ok(())
}

struct Head {
    path: String,
    headers: HashMap<String, String>,
}

/// Reads up to the empty line; `None` when the client has closed the connection instead.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&bytes).map_err(io::Error::other)?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = request.headers.iter();
    Ok(Some(Head {
        path: request.path.unwrap_or_default().to_owned(),
        headers: headers.map(|h| (h.name.to_lowercase(), text(h.value))).collect(),
    }))
}

fn read_body(reader: &mut impl Read, head: &Head) -> io::Result<Vec<u8>> {
    let length = head.headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// Keeps the request and decides what it is answered with.
fn record(shared: &Mutex<Shared>, head: Head, body: &[u8]) -> Answer {
    let mut shared = lock(shared);
    let answer = shared.script.pop_front().unwrap_or_else(|| Answer::status(200));
    let plain = plain(&head.headers, body);
    shared.received.push(Received {
        wire_bytes: body.len(),
        request: ExportTraceServiceRequest::decode(plain.as_slice()).ok(),
        body: plain,
        path: head.path,
        headers: head.headers,
        status: answer.status,
    });
    answer
}

/// The body without its compression; empty where it is not what the header says.
fn plain(headers: &HashMap<String, String>, body: &[u8]) -> Vec<u8> {
    let gzipped = headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    if !gzipped {
        return body.to_vec();
    }
    let mut plain = Vec::new();
    let unpacked = MultiGzDecoder::new(body).read_to_end(&mut plain);
    unpacked.map_or_else(|_| Vec::new(), |_| plain)
}

fn respond(writer: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let Answer { status, headers, body } = answer;
    write!(writer, "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(writer, "{name}: {value}\r\n")?;
    }
    writer.write_all(b"\r\n")?;
    writer.write_all(body)?;
    writer.flush()
}
