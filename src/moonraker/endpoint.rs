use std::fmt;
use std::path::PathBuf;

use tokio_tungstenite::tungstenite::http::Uri;

/// Where a Moonraker listens.
#[derive(Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Its websocket, such as `ws://127.0.0.1:7125/websocket`.
    Websocket {
        /// With scheme `ws` or `wss`.
        url: String,
    },
    /// Its unix socket, `printer_data/comms/moonraker.sock`, which needs no login.
    Unix {
        /// The socket.
        path: PathBuf,
    },
}

/// Why a text is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not the address of a Moonraker ({why}): write a URL such as \"http://printer.local:7125\" or the path of \
     its socket such as \"/home/pi/printer_data/comms/moonraker.sock\""
)]
pub struct BadEndpoint {
    /// The text, without what may be a secret in it.
    pub found: String,
    /// What is wrong.
    pub why: &'static str,
}

impl Endpoint {
    /// Takes a URL (`ws`, `wss`, `http` or `https`; the path defaults to `/websocket`) or an absolute path of a socket.
    pub fn parse(text: &str) -> Result<Self, BadEndpoint> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix { path: PathBuf::from(path) });
        }
        let bad = |why| BadEndpoint { found: without_secrets(text), why };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        let scheme = match scheme {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            _ => return Err(bad("its scheme is not http, https, ws or wss")),
        };
        let uri: Uri = format!("{scheme}://{rest}").parse().map_err(|_| bad("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has a user name or password, which belong into the secrets file"));
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/websocket",
            path => path,
        };
        Ok(Self::Websocket { url: format!("{scheme}://{authority}{path}") })
    }

    /// The host that relative webcam URLs belong to: Moonraker serves them on its port 80.
    pub(super) fn web_root(&self) -> String {
        let host = match self {
            Self::Websocket { url } => {
                url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned))
            }
            Self::Unix { .. } => None,
        };
        format!("http://{}", host.as_deref().unwrap_or("127.0.0.1"))
    }
}

fn without_secrets(text: &str) -> String {
    let text = text.split('?').next().unwrap_or(text);
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Websocket { url } => f.write_str(&without_secrets(url)),
            Self::Unix { path } => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_people_write_become_the_websocket() {
        for (written, url) in [
            ("http://printer.local:7125", "ws://printer.local:7125/websocket"),
            ("https://printer.local/", "wss://printer.local/websocket"),
            ("ws://[::1]:7125/websocket", "ws://[::1]:7125/websocket"),
            ("http://farm/printer2/websocket", "ws://farm/printer2/websocket"),
        ] {
            assert_eq!(Endpoint::parse(written).unwrap(), Endpoint::Websocket { url: url.into() });
        }
        let socket = Endpoint::Unix { path: "/run/moonraker.sock".into() };
        assert_eq!(Endpoint::parse("/run/moonraker.sock").unwrap(), socket);
        assert_eq!(Endpoint::parse("unix:/run/moonraker.sock").unwrap(), socket);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_secret() {
        for written in
            ["printer.local:7125", "unix:here.sock", "mqtt://printer", "http://", "http://a b"]
        {
            assert!(Endpoint::parse(written).is_err(), "{written}");
        }
        let error = Endpoint::parse("http://me:hush@printer:7125").unwrap_err().to_string();
        assert!(error.contains("http://printer:7125") && !error.contains("hush"), "{error}");
        let shown = Endpoint::parse("ws://printer/websocket?token=hush").unwrap();
        assert!(!format!("{shown} {shown:?}").contains("hush"));
    }

    #[test]
    fn relative_webcams_belong_to_port_80_of_the_host() {
        assert_eq!(Endpoint::parse("ws://printer:7125").unwrap().web_root(), "http://printer");
        assert_eq!(Endpoint::parse("ws://[::1]:7125").unwrap().web_root(), "http://[::1]");
        assert_eq!(Endpoint::parse("/run/m.sock").unwrap().web_root(), "http://127.0.0.1");
    }
}
