//! An OTLP/HTTP receiver on the loopback interface that keeps what it is sent and answers as it is
//! told to: well, badly, slowly or not at all.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};

use crate::Trace;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running receiver. It stops listening when the process ends.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    script: VecDeque<Answer>,
    always: Option<Answer>,
    poison: Option<(u16, BTreeSet<String>)>,
    decodes_later: bool,
    connections: usize,
    released: bool,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request's target: path and query, or what a proxy is asked for.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: HashMap<String, String>,
    /// The body's size on the wire, in bytes.
    pub wire_bytes: usize,
    /// The body, as it was before it was compressed.
    pub body: Vec<u8>,
    /// What the body says, if it is a valid request.
    pub request: Option<ExportTraceServiceRequest>,
    /// The status that was answered; 0 where the request was not answered, nor taken.
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
    /// How it is given.
    pub manner: Manner,
}

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a whole.
    AtOnce,
    /// The request is taken, the answer waits for [`Receiver::release`].
    Held,
    /// The request is read and never answered.
    Never,
    /// The connection is reset while the request's body comes.
    ResetsRequest,
    /// The connection is closed where an answer was due.
    Closes,
    /// The connection is reset in the middle of the answer's headers.
    ResetsHead,
    /// The connection is reset in the middle of the answer's body.
    ResetsBody,
    /// As a whole, after a while.
    After(Duration),
    /// One byte at a time, with a pause before each.
    ByteByByte(Duration),
    /// The head at once, then one byte of the body at a time.
    BodyByteByByte(Duration),
    /// Headers without end.
    EndlessHead,
    /// A body without end.
    EndlessBody,
}

impl Manner {
    /// Whether the request counts as taken.
    fn takes(self) -> bool {
        !matches!(
            self,
            Self::Never | Self::ResetsRequest | Self::Closes | Self::ResetsHead | Self::EndlessHead
        )
    }
}

impl Answer {
    /// An answer that is a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), manner: Manner::AtOnce }
    }

    /// Success, given in this manner, with a body that takes a while to read.
    pub fn given(manner: Manner) -> Self {
        Self { body: vec![0; 1000], manner, ..Self::status(200) }
    }

    /// Success, but for `spans` of the request, because of `message`.
    pub fn partial_success(spans: i64, message: &str) -> Self {
        let partial =
            ExportTracePartialSuccess { rejected_spans: spans, error_message: message.to_owned() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        Self { body, ..Self::status(200) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn text(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Given in this manner.
    #[must_use]
    pub fn in_manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }
}

/// A port on which nobody listens, and that nobody else can take.
#[derive(Debug)]
pub struct Down {
    socket: Socket,
    address: SocketAddr,
}

impl Down {
    /// Reserves a port: connections to it are refused.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(clippy::expect_used, reason = "without a port there is no test")]
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("make a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).expect("bind a port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        Self { address: address.expect("the socket's own address"), socket }
    }

    /// The base URL to give to a charm.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A receiver at this address.
    ///
    /// # Panics
    ///
    /// When the port cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a receiver there is no test")]
    pub fn up(self) -> Receiver {
        self.socket.listen(128).expect("listen");
        Receiver::listening(self.socket.into(), None)
    }

    /// A port that never answers: the kernel completes no connection, and resets none.
    ///
    /// # Panics
    ///
    /// When the port cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a port there is no test")]
    pub fn full(self) -> Unserved {
        self.socket.listen(0).expect("listen");
        let brief = Duration::from_millis(200);
        let connect = || TcpStream::connect_timeout(&self.address, brief).ok();
        let fillers: Vec<TcpStream> = std::iter::from_fn(connect).collect();
        Unserved { fillers, down: self }
    }

    /// A port that takes connections and never reads from one.
    ///
    /// # Panics
    ///
    /// When the port cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a port there is no test")]
    pub fn deaf(self) -> Unserved {
        self.socket.listen(128).expect("listen");
        Unserved { fillers: Vec::new(), down: self }
    }
}

/// A port behind which nobody takes a connection.
#[derive(Debug)]
pub struct Unserved {
    /// What fills the backlog, if it is full.
    fillers: Vec<TcpStream>,
    down: Down,
}

impl Unserved {
    /// The base URL to give to a charm.
    pub fn endpoint(&self) -> String {
        self.down.endpoint()
    }

    /// How many connections the kernel completed before it completed no more.
    pub fn backlog(&self) -> usize {
        self.fillers.len()
    }
}

impl Receiver {
    /// Starts a receiver that takes everything.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    pub fn start() -> Self {
        Down::reserve().up()
    }

    /// Starts a receiver that speaks TLS.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a receiver there is no test")]
    pub fn start_tls(config: ServerConfig) -> Self {
        let down = Down::reserve();
        down.socket.listen(128).expect("listen");
        Self::listening(down.socket.into(), Some(Arc::new(config)))
    }

    #[expect(clippy::expect_used, reason = "without a receiver there is no test")]
    fn listening(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        let address = listener.local_addr().expect("the listener's own address");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                of_thread.change(|state| state.connections += 1);
                let (shared, tls) = (Arc::clone(&of_thread), tls.clone());
                // As servers do; else an answer may wait for the client to acknowledge what TLS
                // said before it, which clients do not hurry to do.
                let _ = stream.set_nodelay(true);
                // A client that goes away in the middle is none of the receiver's business.
                thread::spawn(move || serve(&stream, tls, &shared));
            }
        });
        Self { address, scheme, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to give to a charm.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The base URL with another name for this machine.
    pub fn endpoint_as(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Answers the next requests with these, one each; afterwards as before.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.change(|state| state.script.extend(answers));
    }

    /// Answers every request with this, until told otherwise.
    pub fn answer_always(&self, answer: Answer) {
        self.shared.change(|state| state.always = Some(answer));
    }

    /// Takes everything again.
    pub fn recover(&self) {
        self.shared.change(|state| {
            state.always = None;
            state.script.clear();
        });
    }

    /// Answers every request that has a span of one of these names, and would be taken, with
    /// `status`.
    pub fn refuse<'a>(&self, status: u16, names: impl IntoIterator<Item = &'a str>) {
        let names = names.into_iter().map(str::to_owned).collect();
        self.shared.change(|state| state.poison = Some((status, names)));
    }

    /// Gives the answers that are held, and holds none any more.
    pub fn release(&self) {
        self.shared.change(|state| state.released = true);
    }

    /// Waits until `count` requests have come.
    ///
    /// # Panics
    ///
    /// When they do not come.
    pub fn wait_for_requests(&self, count: usize) {
        let came = self.shared.wait(PATIENCE, |state| state.received.len() >= count);
        assert!(came, "{count} requests wanted, {} came", self.requests().len());
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// The requests that were answered with success.
    pub fn accepted(&self) -> Vec<Received> {
        let requests = self.requests().into_iter();
        requests.filter(|received| (200..300).contains(&received.status)).collect()
    }

    /// Looks into requests only when [`Receiver::take_accepted`] asks for them: nobody whose time
    /// is measured waits for it.
    pub fn decode_later(&self) {
        self.shared.change(|state| state.decodes_later = true);
    }

    /// The requests that were answered with success since this was last asked, and forgets all: a
    /// receiver that lives through thousands of executions would keep them.
    pub fn take_accepted(&self) -> Vec<Received> {
        let requests = self.shared.change(|state| std::mem::take(&mut state.received));
        let accepted = |received: &Received| (200..300).contains(&received.status);
        requests.into_iter().filter(accepted).map(Received::decoded).collect()
    }

    /// The traces of all requests that were answered with success, in the order in which their
    /// first spans came.
    pub fn traces(&self) -> Vec<Trace> {
        crate::decode(self.accepted().iter().filter_map(|received| received.request.as_ref()))
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until `reached`; whether that was within `patience`.
    fn wait(&self, patience: Duration, reached: impl Fn(&State) -> bool) -> bool {
        let waiting = |state: &mut State| !reached(state);
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        reached(&state)
    }
}

/// Answers the requests of one connection until one of the two ends it.
fn serve(socket: &TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared) -> io::Result<()> {
    let stream = socket.try_clone()?;
    match tls {
        None => serve_on(BufReader::new(stream), socket, shared),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let stream = StreamOwned::new(connection, stream);
            serve_on(BufReader::new(stream), socket, shared)
        }
    }
}

fn serve_on<S: Read + Write>(
    mut stream: BufReader<S>,
    socket: &TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    while let Some(head) = read_head(&mut stream)? {
        if head.method == "CONNECT" {
            record(shared, head, &[], Answer::status(200));
            stream.get_mut().write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
            continue;
        }
        let scripted = shared.change(next_answer);
        if scripted.manner == Manner::ResetsRequest {
            stream.read_exact(&mut [0; 16])?;
            record(shared, head, &[], scripted);
            return reset(socket);
        }
        let body = read_body(&mut stream, &head)?;
        let answer = record(shared, head, &body, scripted);
        if !respond(&mut stream, &answer, shared)? {
            return reset(socket);
        }
        if answer.manner == Manner::Closes {
            return Ok(());
        }
    }
    Ok(())
}

fn next_answer(state: &mut State) -> Answer {
    let answer = state.script.pop_front().or_else(|| state.always.clone());
    answer.unwrap_or_else(|| Answer::status(200))
}

/// Makes the end of the connection, which follows, that of a crash.
fn reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

struct Head {
    method: String,
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
        method: request.method.unwrap_or_default().to_owned(),
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
fn record(shared: &Shared, head: Head, body: &[u8], scripted: Answer) -> Answer {
    let later = shared.lock().decodes_later;
    let plain = if later { body.to_vec() } else { plain(&head.headers, body) };
    let request = (!later).then(|| ExportTraceServiceRequest::decode(plain.as_slice()).ok());
    let request = request.flatten();
    shared.change(|state| {
        let refused = request.as_ref().and_then(|request| state.refusal(request));
        let refused = refused.filter(|_| scripted.status == 200);
        let answer = refused.map_or(scripted, Answer::status);
        state.received.push(Received {
            wire_bytes: body.len(),
            request,
            body: plain,
            path: head.path,
            headers: head.headers,
            status: if answer.manner.takes() { answer.status } else { 0 },
        });
        answer
    })
}

impl Received {
    /// The same, looked into if it was not yet.
    fn decoded(mut self) -> Self {
        if self.request.is_none() {
            self.body = plain(&self.headers, &self.body);
            self.request = ExportTraceServiceRequest::decode(self.body.as_slice()).ok();
        }
        self
    }
}

impl State {
    /// The status that a request with poison in it is answered with.
    fn refusal(&self, request: &ExportTraceServiceRequest) -> Option<u16> {
        let (status, names) = self.poison.as_ref()?;
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let mut spans = scopes.flat_map(|scope| &scope.spans);
        spans.any(|span| names.contains(&span.name)).then_some(*status)
    }
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

/// Answers in the manner that is wanted; `false` where the connection is to be reset.
fn respond<S: Read + Write>(
    stream: &mut BufReader<S>,
    answer: &Answer,
    shared: &Shared,
) -> io::Result<bool> {
    let (head, body) = (head_of(answer), &answer.body);
    match answer.manner {
        Manner::AtOnce => stream.get_mut().write_all(&[&head[..], body].concat())?,
        Manner::Held => {
            shared.wait(PATIENCE, |state| state.released);
            stream.get_mut().write_all(&[&head[..], body].concat())?;
        }
        Manner::After(pause) => {
            shared.wait(pause, |_| false);
            stream.get_mut().write_all(&[&head[..], body].concat())?;
        }
        Manner::Never => {
            io::copy(stream, &mut io::sink())?;
        }
        Manner::ResetsRequest | Manner::Closes => {}
        Manner::ResetsHead => stream.get_mut().write_all(&head[..head.len() / 2])?,
        Manner::ResetsBody => {
            stream.get_mut().write_all(&[&head[..], &body[..body.len() / 2]].concat())?;
        }
        Manner::ByteByByte(pause) => trickle(stream, &[&head[..], body].concat(), pause, shared)?,
        Manner::BodyByteByByte(pause) => {
            stream.get_mut().write_all(&head)?;
            trickle(stream, body, pause, shared)?;
        }
        Manner::EndlessHead => {
            stream.get_mut().write_all(&head[..head.len() - 2])?;
            endless(stream, b"x-more: and more\r\n")?;
        }
        Manner::EndlessBody => {
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            endless(stream, &[7; 4096])?;
        }
    }
    stream.get_mut().flush()?;
    Ok(!matches!(answer.manner, Manner::ResetsHead | Manner::ResetsBody))
}

fn head_of(answer: &Answer) -> Vec<u8> {
    let Answer { status, headers, body, .. } = answer;
    let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    head.into()
}

/// Writes one byte after the other, each after a pause, until the client goes away.
fn trickle<S: Read + Write>(
    stream: &mut BufReader<S>,
    bytes: &[u8],
    pause: Duration,
    shared: &Shared,
) -> io::Result<()> {
    for byte in bytes {
        // Nothing ends the pause but the time: it is the behaviour of this receiver.
        shared.wait(pause, |_| false);
        stream.get_mut().write_all(&[*byte])?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

/// Writes until the client goes away.
fn endless<S: Read + Write>(stream: &mut BufReader<S>, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.get_mut().write_all(bytes)?;
    }
}
