//! Authorities and certificates for receivers that speak TLS, good ones and every kind of bad one;
//! and TLS in front of a receiver that does not.
//!
//! Nothing here is checked in: keys and certificates are made when a test runs.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ALL_VERSIONS, ServerConfig, ServerConnection, Stream, SupportedProtocolVersion};

use crate::Receiver;

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The certificates between this authority and the one that is trusted, this one's first.
    between: Vec<CertificateDer<'static>>,
}

/// When a server's certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Today.
    Current,
    /// It was.
    Expired,
    /// It will be.
    NotYet,
}

#[expect(clippy::expect_used, reason = "without certificates there is no test")]
impl Authority {
    /// A new authority, which nobody vouches for; `name` tells it from others.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be made.
    pub fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority_params(name), key());
        Self { issuer: issuer.expect("make a root certificate"), between: Vec::new() }
    }

    /// A new authority that this one vouches for.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be made.
    #[must_use]
    pub fn intermediate(&self) -> Self {
        let params = authority_params("intermediate");
        let issuer = CertifiedIssuer::signed_by(params, key(), &self.issuer);
        let issuer = issuer.expect("make an intermediate certificate");
        let mut between = vec![issuer.der().clone()];
        between.extend_from_slice(&self.between);
        Self { issuer, between }
    }

    /// The authority's certificate in PEM form.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server for `name`, a host name or an IP address, with a certificate of this authority's.
    pub fn server(&self, name: &str) -> ServerConfig {
        self.server_with(name, Validity::Current, ALL_VERSIONS)
    }

    /// The same, with a certificate that is valid at another time, or of fewer versions of TLS.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be made.
    pub fn server_with(
        &self,
        name: &str,
        validity: Validity,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = key();
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = match validity {
            Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 1, 1)),
            Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Validity::NotYet => (date_time_ymd(2089, 1, 1), date_time_ymd(2090, 1, 1)),
        };
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        let mut chain = vec![certificate.der().clone()];
        chain.extend_from_slice(&self.between);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
        ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(versions)
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a server's certificate")
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authority")
            .field("between", &self.between.len())
            .finish_non_exhaustive()
    }
}

#[expect(clippy::expect_used, reason = "without a key there is no test")]
fn key() -> KeyPair {
    KeyPair::generate().expect("make a key")
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
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
        let config = Arc::new(Mutex::new(Arc::new(authority.server("127.0.0.1"))));
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
        let config = Arc::new(authority.server("127.0.0.1"));
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
