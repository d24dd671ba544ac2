//! What the options `tracing_endpoint` and `server_cert` may be given: the types that a charm's
//! fields and methods really have.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Certificates of the authorities that an `https` backend is checked against.
///
/// A field of this type may hold either, for a charm that has one or the other:
///
/// ```
/// use charm_tracing::{ServerCertificate, trace_charm};
///
/// struct HelloCharm {
///     server_cert: Option<ServerCertificate>,
/// }
///
/// #[trace_charm(server_cert = server_cert)]
/// impl HelloCharm {
///     fn new(given: Option<String>) -> Self {
///         let file = || ServerCertificate::File("/usr/local/share/ca-certificates/ca.crt".into());
///         Self { server_cert: Some(given.map_or_else(file, ServerCertificate::Pem)) }
///     }
/// }
/// # assert!(matches!(HelloCharm::new(None).server_cert, Some(ServerCertificate::File(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerCertificate {
    /// A PEM file. It may be absent: then traces wait on disk until it is there.
    File(PathBuf),
    /// The PEM text itself.
    Pem(String),
}

/// What may be given as `tracing_endpoint`: text, or an `Option` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `tracing_endpoint`",
    label = "expected `String`, `&str` or an `Option` of one"
)]
pub trait TracingEndpoint {
    /// The base URL of the backend, if there is one.
    fn tracing_endpoint(&self) -> Option<String>;
}

/// What may be given as `server_cert`: a path, the certificates themselves, or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `server_cert`",
    label = "expected a path (`PathBuf`, `&Path`, `String`, `&str`), a `ServerCertificate`, or an `Option` of one"
)]
pub trait ServerCert {
    /// The certificates, if there are any yet.
    fn server_cert(&self) -> Option<ServerCertificate>;
}

impl TracingEndpoint for str {
    fn tracing_endpoint(&self) -> Option<String> {
        let text = self.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl TracingEndpoint for String {
    fn tracing_endpoint(&self) -> Option<String> {
        self.as_str().tracing_endpoint()
    }
}

impl ServerCert for Path {
    fn server_cert(&self) -> Option<ServerCertificate> {
        (!self.as_os_str().is_empty()).then(|| ServerCertificate::File(self.to_owned()))
    }
}

impl ServerCert for PathBuf {
    fn server_cert(&self) -> Option<ServerCertificate> {
        self.as_path().server_cert()
    }
}

impl ServerCert for str {
    fn server_cert(&self) -> Option<ServerCertificate> {
        Path::new(self).server_cert()
    }
}

impl ServerCert for String {
    fn server_cert(&self) -> Option<ServerCertificate> {
        self.as_str().server_cert()
    }
}

impl ServerCert for ServerCertificate {
    fn server_cert(&self) -> Option<ServerCertificate> {
        Some(self.clone())
    }
}

/// Whatever leads to a value that may be given may be given itself.
macro_rules! through_pointers {
    ($trait:ident, $method:ident, $value:ty) => {
        through_pointers!(@ $trait, $method, $value, &T, Box<T>, Rc<T>, Arc<T>);

        impl<T: $trait> $trait for Option<T> {
            fn $method(&self) -> Option<$value> {
                self.as_ref().and_then($trait::$method)
            }
        }

        impl<T: $trait + ToOwned + ?Sized> $trait for Cow<'_, T> {
            fn $method(&self) -> Option<$value> {
                T::$method(self)
            }
        }
    };
    (@ $trait:ident, $method:ident, $value:ty, $($pointer:ty),+) => {
        $(impl<T: $trait + ?Sized> $trait for $pointer {
            fn $method(&self) -> Option<$value> {
                T::$method(self)
            }
        })+
    };
}

through_pointers!(TracingEndpoint, tracing_endpoint, String);
through_pointers!(ServerCert, server_cert, ServerCertificate);
