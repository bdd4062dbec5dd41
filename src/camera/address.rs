//! A camera's address, kept so that its credentials never show.

use std::fmt;

use super::CameraError;

/// Query keys whose values are secrets on cameras we know of.
const SECRET_KEYS: [&str; 9] =
    ["token", "password", "passwd", "pwd", "pass", "psw", "key", "api_key", "auth"];

/// An `http`, `https`, `rtsp` or `rtsps` URL. `Display` and `Debug` leave out user name, password and the values of
/// query keys such as `token` or `pwd`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Up to and with `://`.
    scheme: String,
    /// What stands before the `@`, as it was written.
    credentials: Option<String>,
    /// Everything after that: host, port, path and query.
    rest: String,
}

impl Address {
    /// Takes `text` as an address.
    ///
    /// # Errors
    /// When there is no known scheme or no host, or a control character or blank in it.
    pub fn parse(text: &str) -> Result<Self, CameraError> {
        let bad = |why: &'static str| CameraError::BadAddress { shown: hide_all(text), why };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| bad("it has no scheme: write http://…, https://… or rtsp://…"))?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https" | "rtsp" | "rtsps") {
            return Err(bad("write an http, https, rtsp or rtsps address"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad("it contains a blank or a control character: write %20 for a blank"));
        }
        let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (credentials, rest) = match rest[..host_end].rfind('@') {
            Some(at) => (Some(rest[..at].to_owned()), rest[at + 1..].to_owned()),
            None => (None, rest.to_owned()),
        };
        if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
            return Err(bad("it names no host: write http://host/path"));
        }
        Ok(Self { scheme: format!("{scheme}://"), credentials, rest })
    }

    /// Whether it is read by RTSP.
    pub fn is_rtsp(&self) -> bool {
        self.scheme.starts_with("rtsp")
    }

    /// The path in lower case, without query.
    pub(super) fn path(&self) -> String {
        let end = self.rest.find(['?', '#']).unwrap_or(self.rest.len());
        let start = self.rest[..end].find('/').unwrap_or(end);
        self.rest[start..end].to_ascii_lowercase()
    }

    /// The query in lower case, without `?`.
    pub(super) fn query(&self) -> String {
        self.rest.split_once('?').map_or_else(String::new, |(_, query)| query.to_ascii_lowercase())
    }

    /// The URL to open, without user name and password.
    pub(super) fn location(&self) -> String {
        format!("{}{}", self.scheme, self.rest)
    }

    /// User name and password, percent-decoded.
    pub(super) fn login(&self) -> Option<(String, String)> {
        let (user, password) = match self.credentials.as_deref()?.split_once(':') {
            Some((user, password)) => (user, password),
            None => (self.credentials.as_deref()?, ""),
        };
        Some((percent_decoded(user), percent_decoded(password)))
    }

    /// `text`, a message of a library, without this address's secrets.
    pub(super) fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        if let Some(credentials) = &self.credentials {
            clean = clean.replace(&format!("{credentials}@"), "");
        }
        let shown = self.to_string();
        clean.replace(&self.location(), &shown).replace(&self.rest, &shown[self.scheme.len()..])
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((place, query)) = self.rest.split_once('?') else {
            return write!(f, "{}{}", self.scheme, self.rest);
        };
        write!(f, "{}{place}?", self.scheme)?;
        for (at, pair) in query.split('&').enumerate() {
            let and = if at == 0 { "" } else { "&" };
            match pair.split_once('=') {
                Some((key, _)) if SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()) => {
                    write!(f, "{and}{key}=…")?;
                }
                _ => write!(f, "{and}{pair}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Something that could not be taken as an address, made safe to show.
pub(super) fn hide_all(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}{}", &text[..scheme + 3], &text[at + 1..])
        }
        (None, Some(at)) => text[at + 1..].to_owned(),
        _ => text.to_owned(),
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_show() {
        let url = "http://us%40er:s%3Acret@cam.local:8080/video?token=abc&w=640&PWD=x";
        let address = Address::parse(url).unwrap();
        let shown = "http://cam.local:8080/video?token=…&w=640&PWD=…";
        assert_eq!(address.to_string(), shown);
        assert_eq!(format!("{address:?}"), format!("{shown:?}"));
        assert_eq!(address.login(), Some(("us@er".into(), "s:cret".into())));
        assert_eq!(address.location(), "http://cam.local:8080/video?token=abc&w=640&PWD=x");
        let message =
            format!("Not Found, URL: {url}, and cam.local:8080/video?token=abc&w=640&PWD=x");
        let scrubbed = address.scrub(&message);
        assert!(!scrubbed.contains("cret") && !scrubbed.contains("abc"), "{scrubbed}");
    }

    #[test]
    fn an_at_sign_in_the_path_is_no_login() {
        let address = Address::parse("http://cam/a@b").unwrap();
        assert_eq!(address.login(), None);
        assert_eq!(address.to_string(), "http://cam/a@b");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_its_secrets() {
        for text in
            ["cam.local/video", "ftp://u:secret@cam/", "http:///x", "http://", "http://u:secret@/x"]
        {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(Address::parse("http://cam/with blank").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_or_refused_without_panic(text in ".*") {
            let _ = Address::parse(&text).map(|address| (address.login(), address.path(), address.query()));
            let _ = Address::parse(&format!("http://{text}")).map(|address| (address.login(), address.to_string()));
        }
    }
}
