//! The tables `[http]` and `[auth]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use jiff::fmt::serde::unsigned_duration::friendly::compact::required as duration_text;
use serde::{Deserialize, Serialize, Serializer};

/// The default address if a flow of the process serves requests.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// The table `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Address and port. Port 0 means any free port. If absent: [`DEFAULT_LISTEN`], or no port when no flow needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// TLS. If absent, the port serves plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The largest body of a request.
    #[serde(serialize_with = "bytes")]
    pub max_body: ByteSize,
    /// How long a request may take.
    #[serde(with = "duration_text")]
    pub deadline: Duration,
    /// How long a connection may wait for the next request, a request for its headers, and an answer for its reader.
    #[serde(with = "duration_text")]
    pub idle: Duration,
    /// The largest number of requests at one time. Further requests are answered with 503.
    pub max_requests: usize,
    /// The largest number of connections at one time. Further connections wait in the system's queue.
    pub max_connections: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: None,
            tls: None,
            max_body: ByteSize::mib(8),
            deadline: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            max_requests: 512,
            max_connections: 4096,
        }
    }
}

/// TLS files in PEM. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate and the intermediate certificates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// CAs whose client certificates are accepted. Clients may also connect without a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// How callers authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Not at all. Only on a loopback address.
    #[default]
    None,
    /// With a token that a file lists.
    Tokens,
    /// With an access token of an OpenID Connect issuer.
    Oidc,
}

/// The table `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSettings {
    /// How callers authenticate.
    pub mode: AuthMode,
    /// Mode `oidc`: the issuer, an address with `https`, or `http` on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Mode `oidc`: the audience that the claim `aud` must name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Mode `oidc`: the claim that names the client.
    pub client_claim: String,
    /// Mode `oidc`: the claim with roles, a path with dots.
    pub roles_claim: String,
    /// Mode `oidc`: the claim with scopes, a text of words or a list.
    pub scopes_claim: String,
    /// Mode `oidc`: the claim that names the user.
    pub user_claim: String,
    /// Mode `tokens`: the file of tokens. Each line is `NAME ROLE[,ROLE] SHA256-OF-TOKEN-IN-HEX`, with `-` for no role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_file: Option<PathBuf>,
    /// In any mode, with `client_ca`: the callers by certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateSettings>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            mode: AuthMode::None,
            issuer: None,
            audience: None,
            client_claim: "azp".to_owned(),
            roles_claim: "realm_access.roles".to_owned(),
            scopes_claim: "scope".to_owned(),
            user_claim: "sub".to_owned(),
            tokens_file: None,
            certificates: Vec::new(),
        }
    }
}

/// The caller that a certificate identifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// The whole subject, such as `CN=vp.example, O=Example`. The order of its parts does not matter.
    pub subject: String,
    /// The caller's name.
    pub name: String,
    /// The caller's roles.
    pub roles: Vec<String>,
}

impl HttpSettings {
    /// The same settings with paths relative to `folder`, that of the configuration file.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        if let Some(tls) = &mut self.tls {
            for path in [Some(&mut tls.certificate), Some(&mut tls.key), tls.client_ca.as_mut()].into_iter().flatten() {
                *path = folder.join(&*path);
            }
        }
        self
    }
}

impl AuthSettings {
    /// The same settings with paths relative to `folder`, that of the configuration file.
    #[must_use]
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.tokens_file = self.tokens_file.map(|path| folder.join(path));
        self
    }
}

/// The exact number of bytes. The text for people is rounded.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn bytes<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{}B", size.as_u64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        http: HttpSettings,
        #[serde(default)]
        auth: AuthSettings,
    }

    const EXAMPLE: &str = r#"
        [http]
        listen = "127.0.0.1:8080"
        tls = { certificate = "server.pem", key = "server.key", client_ca = "/clients.pem" }
        max_body = "64MiB"
        deadline = "1m 30s"
        [auth]
        mode = "oidc"
        issuer = "https://idp.example/realms/dis"
        audience = "tributary"
        client_claim = "azp"
        roles_claim = "realm_access.roles"
        scopes_claim = "scope"
        user_claim = "sub"
        tokens_file = "tokens.txt"
        [[auth.certificates]]
        subject = "CN=vp.example"
        name = "vp"
        roles = ["consumer"]
    "#;

    #[test]
    fn the_documented_tables_are_read_and_can_be_given_back() {
        let file: File = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(file.http.max_body, ByteSize::mib(64));
        assert_eq!(file.http.deadline, Duration::from_secs(90));
        assert_eq!(file.auth.mode, AuthMode::Oidc);
        assert_eq!(toml::from_str::<File>(&toml::to_string(&file).unwrap()).unwrap(), file);
        let defaults: File = toml::from_str("").unwrap();
        assert_eq!(toml::from_str::<File>(&toml::to_string(&defaults).unwrap()).unwrap(), defaults);
    }

    #[test]
    fn paths_are_relative_to_the_configuration_file() {
        let file: File = toml::from_str(EXAMPLE).unwrap();
        let tls = file.http.in_folder(Path::new("/etc/t")).tls.unwrap();
        assert_eq!((tls.certificate, tls.client_ca), ("/etc/t/server.pem".into(), Some("/clients.pem".into())));
        assert_eq!(file.auth.in_folder(Path::new("/etc/t")).tokens_file, Some("/etc/t/tokens.txt".into()));
    }

    #[test]
    fn unknown_entries_are_refused() {
        for text in ["[http]\nport = 1", "[auth]\nmode = \"basic\"", "[http]\ntls = { certificate = \"x\" }"] {
            assert!(toml::from_str::<File>(text).is_err(), "{text}");
        }
    }
}
