//! Checks `[web]`.

use std::net::SocketAddr;

use super::check::Context;
use super::checked::Web;
use super::problem::Key;
use super::raw;

/// Where pictures are served; `None` when they are not.
pub(super) fn check(context: &mut Context<'_>, raw: &raw::Web) -> Option<Web> {
    let section = Key::new("web");
    let Some(listen) = &raw.listen else {
        if raw.url.is_some() {
            let write = "write listen = \"127.0.0.1:7130\", or leave url out";
            context.warning(&section.at("url"), "nothing is served without listen", write);
        }
        return None;
    };
    let Ok(listen) = listen.parse::<SocketAddr>() else {
        let why = "is not an address with a port";
        context.error(&section.at("listen"), why, "write listen = \"127.0.0.1:7130\"");
        return None;
    };
    let url = match &raw.url {
        Some(url)
            if url.starts_with('/')
                || url.starts_with("http://")
                || url.starts_with("https://") =>
        {
            url.trim_end_matches('/').to_owned()
        }
        Some(_) => {
            let write = "write url = \"/strandwatch\", or a whole one: \"http://printer.lan:7130\"";
            context.error(&section.at("url"), "is neither a path nor an http address", write);
            return None;
        }
        // Only the web server in front of Mainsail can pass it on to a browser elsewhere.
        None if listen.ip().is_loopback() => "/strandwatch".to_owned(),
        None if listen.ip().is_unspecified() => {
            let write = format!("add url = \"http://printer.lan:{}\"", listen.port());
            context.error(&section.at("listen"), "does not say how a browser gets there", write);
            return None;
        }
        None => format!("http://{listen}"),
    };
    Some(Web { listen, url })
}
