//! The address of a broker: `amqps://HOST[:PORT][/VIRTUAL-HOST]`.

use std::fmt;
use std::str::FromStr;

use lapin::uri::{AMQPScheme, AMQPUri};

/// Where a broker is, and which virtual host is meant. It holds no user and no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(AMQPUri);

/// Why a text is not the address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of this kind.
    #[error("expected a URL such as \"amqps://rabbit.example:5671/dis\": {0}")]
    Malformed(String),
    /// A user or password in the URL.
    #[error("expected a URL without user and password, which are entries of their own")]
    Credentials,
    /// Something after the virtual host.
    #[error("expected a URL that ends with the virtual host, such as \"amqps://rabbit.example:5671/dis\"")]
    Trailing,
}

impl Address {
    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    /// The virtual host.
    pub fn virtual_host(&self) -> &str {
        &self.0.vhost
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if rest.contains('@') {
            return Err(AddressError::Credentials);
        }
        if rest.contains(['?', '#']) || rest.matches('/').count() > 1 {
            return Err(AddressError::Trailing);
        }
        // A URL that ends with a slash means the virtual host without a name, which hardly anybody has.
        let uri: AMQPUri = text.trim_end_matches('/').parse().map_err(AddressError::Malformed)?;
        if uri.authority.host.is_empty() {
            return Err(AddressError::Malformed("the host is missing".to_owned()));
        }
        Ok(Self(uri))
    }
}

/// `amqps://rabbit.example:5671/dis`, for messages.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let vhost = if vhost == "/" { "%2f" } else { vhost };
        write!(formatter, "{scheme}://{}:{}/{vhost}", authority.host, authority.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_a_virtual_host() {
        let shown = |text: &str| text.parse::<Address>().unwrap().to_string();
        assert_eq!(shown("amqps://rabbit.example:5671/dis"), "amqps://rabbit.example:5671/dis");
        assert_eq!(shown("amqps://rabbit.example"), "amqps://rabbit.example:5671/%2f");
        assert_eq!(shown("amqp://rabbit.example/"), "amqp://rabbit.example:5672/%2f");
        assert_eq!("amqp://rabbit.example/%2f".parse::<Address>().unwrap().virtual_host(), "/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let error = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(error("amqps://me:secret@rabbit.example/dis"), AddressError::Credentials);
        assert_eq!(error("amqps://rabbit.example/dis?heartbeat=0"), AddressError::Trailing);
        assert_eq!(error("amqps://rabbit.example/dis/more"), AddressError::Trailing);
        for text in ["http://rabbit.example", "rabbit.example", "", "amqps://"] {
            assert!(matches!(error(text), AddressError::Malformed(_)), "{text}");
        }
    }
}
