//! An HTTP proxy that tunnels: what a charm in a closed network reaches an `https` backend by.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::Receiver;

/// A running proxy. It stops when the process ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What the proxy was asked for, before it passed anything on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method and target: `CONNECT tempo.example:4318`.
    pub request: String,
    /// The header `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// What the proxy does with whoever asks.
#[derive(Debug, Clone, Copy)]
enum Policy {
    /// Every name leads here.
    Tunnel(SocketAddr),
    /// Nobody gets through; this status says so.
    Refuse(u16),
}

impl Proxy {
    /// Starts one that knows a single machine, whatever it is called: `receiver`'s.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    pub fn to(receiver: &Receiver) -> Self {
        Self::start(Policy::Tunnel(receiver.address()))
    }

    /// Starts one that lets nobody through.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    pub fn refusing(status: u16) -> Self {
        Self::start(Policy::Refuse(status))
    }

    #[expect(clippy::expect_used, reason = "without a proxy there is no test")]
    fn start(policy: Policy) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).expect("listen on the loopback interface");
        let address = listener.local_addr().expect("the listener's own address");
        let asked = Arc::new(Mutex::default());
        let of_thread = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let asked = Arc::clone(&of_thread);
                // A client that goes away in the middle is none of the proxy's business.
                thread::spawn(move || serve(client, policy, &asked));
            }
        });
        Self { address, asked }
    }

    /// Its URL, with a user's name and password, `user:password`, if there are any.
    pub fn url(&self, user: &str) -> String {
        let separator = if user.is_empty() { "" } else { "@" };
        format!("http://{user}{separator}{}", self.address)
    }

    /// What it was asked for, in this order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(client: TcpStream, policy: Policy, asked: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let question = read_question(&mut reader)?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(question);
    match policy {
        Policy::Tunnel(backend) => tunnel(reader, client, backend),
        Policy::Refuse(status) => {
            write!(&client, "HTTP/1.1 {status} Refused\r\ncontent-length: 0\r\n\r\n")
        }
    }
}

/// Reads up to the empty line.
fn read_question(reader: &mut impl BufRead) -> io::Result<Asked> {
    let mut lines = reader.lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let request = first.rsplit_once(" HTTP/").map_or(first.as_str(), |(request, _)| request);
    let mut asked = Asked { request: request.to_owned(), authorization: None };
    for line in lines {
        let line = line?;
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization") => {
                asked.authorization = Some(value.to_owned());
            }
            _ => {}
        }
    }
    Ok(asked)
}

/// Passes bytes on in both directions, unseen, until both sides have said everything.
fn tunnel(from: BufReader<TcpStream>, to: TcpStream, backend: SocketAddr) -> io::Result<()> {
    let backend = TcpStream::connect(backend)?;
    write!(&to, "HTTP/1.1 200 Connection established\r\n\r\n")?;
    let answers = backend.try_clone()?;
    thread::spawn(move || pass_on(answers, &to));
    pass_on(from, &backend)
}

fn pass_on(mut from: impl Read, mut to: &TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}
