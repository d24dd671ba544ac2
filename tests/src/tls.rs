//! TLS in front of a receiver, and the authorities that vouch for it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::Receiver;

/// An authority that signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Authority")
    }
}

impl Authority {
    /// A new one; `name` tells it from others.
    ///
    /// # Panics
    ///
    /// When there is no randomness to make keys of.
    #[expect(clippy::expect_used, reason = "without an authority there is no test")]
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("make a key");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("sign it");
        Self { issuer }
    }

    /// Its own certificate, as a PEM file has it.
    pub fn pem(&self) -> String {
        AsRef::<Certificate>::as_ref(&self.issuer).pem()
    }

    /// What a server at the loopback address needs.
    #[expect(clippy::expect_used, reason = "without a certificate there is no test")]
    fn server_config(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("make a key");
        let parameters = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("sign it");
        let chain = CertificateDer::from_pem_slice(certificate.pem().as_bytes());
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_no_client_auth()
            .with_single_cert(vec![chain.expect("PEM")], key.expect("PEM"));
        Arc::new(config.expect("a certificate and its key"))
    }
}

/// A TLS server that hands what it receives to a [`Receiver`]. It stops when the process ends.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl TlsFront {
    /// Starts one before `receiver`, vouched for by `authority`.
    ///
    /// # Panics
    ///
    /// When the loopback interface cannot be listened on.
    #[expect(clippy::expect_used, reason = "without a server there is no test")]
    pub fn start(receiver: &Receiver, authority: &Authority) -> Self {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).expect("listen on the loopback interface");
        let address = listener.local_addr().expect("the listener's own address");
        let config = Arc::new(Mutex::new(authority.server_config()));
        let (current, behind) = (Arc::clone(&config), receiver.address());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let config = Arc::clone(&current.lock().unwrap_or_else(PoisonError::into_inner));
                // A client that does not trust us goes away, as it should.
                thread::spawn(move || serve(stream, config, behind));
            }
        });
        Self { address, config }
    }

    /// The base URL to give to a charm.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on another authority vouches for the server.
    pub fn rotate(&self, authority: &Authority) {
        let config = authority.server_config();
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

/// Passes requests and answers on, one at a time, which is how HTTP/1.1 takes turns.
fn serve(mut outside: TcpStream, config: Arc<ServerConfig>, behind: SocketAddr) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut outside = Stream::new(&mut connection, &mut outside);
    let mut inside = TcpStream::connect(behind)?;
    while pass_on(&mut outside, &mut inside)? {
        pass_on(&mut inside, &mut outside)?;
    }
    Ok(())
}

/// Passes one message on, head and body; `false` when there is none any more.
fn pass_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut message = Vec::new();
    while !message.ends_with(b"\r\n\r\n") {
        if from.take(1).read_to_end(&mut message)? == 0 {
            return Ok(false);
        }
    }
    let head = String::from_utf8_lossy(&message).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    from.take(length).read_to_end(&mut message)?;
    to.write_all(&message)?;
    to.flush()?;
    Ok(true)
}
