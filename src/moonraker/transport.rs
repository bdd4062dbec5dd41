//! Frames: websocket messages, or JSON ended by 0x03 on the unix socket.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::fault::MoonrakerFault;
use super::{Endpoint, Setup};

/// The largest message taken. The largest known ones, lists of objects with outlines, have some 100 KiB.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Ends a message on the unix socket.
const END: u8 = 0x03;

/// A connection to Moonraker.
pub(super) enum Transport {
    Websocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Unix(UnixFrames),
}

/// The unix socket and what has been read of the next messages.
pub(super) struct UnixFrames {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are known not to be [`END`].
    searched: usize,
}

impl Transport {
    /// Connects within `timing.connect`.
    pub(super) async fn connect(setup: &Setup) -> Result<Self, MoonrakerFault> {
        let connecting = async {
            match &setup.endpoint {
                Endpoint::Websocket { url } => websocket(url, setup.api_key.as_ref()).await,
                Endpoint::Unix { path } => match UnixStream::connect(path).await {
                    Ok(stream) => {
                        Ok(Self::Unix(UnixFrames { stream, buffer: Vec::new(), searched: 0 }))
                    }
                    Err(error) => Err(unreachable(error)),
                },
            }
        };
        let within = setup.timing.connect;
        timeout(within, connecting).await.unwrap_or_else(|_| {
            Err(unreachable(format!("no connection within {} s", within.as_secs())))
        })
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, text: String) -> Result<(), MoonrakerFault> {
        match self {
            Self::Websocket(socket) => socket.send(Message::from(text)).await.map_err(lost),
            Self::Unix(frames) => {
                let mut frame = text.into_bytes();
                frame.push(END);
                frames.stream.write_all(&frame).await.map_err(lost)
            }
        }
    }

    /// The next message, empty for one that only says that the peer lives. Cancel safe.
    pub(super) async fn receive(&mut self) -> Result<Bytes, MoonrakerFault> {
        match self {
            Self::Websocket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => Ok(text.into()),
                Some(Ok(Message::Binary(bytes))) => Ok(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                    Ok(Bytes::new())
                }
                Some(Ok(Message::Close(reason))) => Err(lost(
                    reason.map_or_else(|| "it said goodbye".to_owned(), |r| r.to_string()),
                )),
                Some(Err(Error::Capacity(_))) => Err(too_large()),
                Some(Err(error)) => Err(lost(error)),
                None => Err(lost("it ended")),
            },
            Self::Unix(frames) => frames.next().await,
        }
    }
}

impl UnixFrames {
    async fn next(&mut self) -> Result<Bytes, MoonrakerFault> {
        loop {
            let unsearched = self.buffer.iter().skip(self.searched);
            if let Some(found) = unsearched.copied().position(|byte| byte == END) {
                let rest = self.buffer.split_off(self.searched + found + 1);
                let mut frame = std::mem::replace(&mut self.buffer, rest);
                frame.pop();
                self.searched = 0;
                return Ok(frame.into());
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_MESSAGE_BYTES {
                return Err(too_large());
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(lost)? == 0 {
                return Err(lost("it ended"));
            }
        }
    }
}

async fn websocket(url: &str, api_key: Option<&SecretString>) -> Result<Transport, MoonrakerFault> {
    let mut request = url.into_client_request().map_err(unreachable)?;
    let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    request.headers_mut().insert("User-Agent", HeaderValue::from_static(agent));
    if let Some(key) = api_key {
        let mut value = HeaderValue::from_str(key.expose_secret()).map_err(|_| {
            MoonrakerFault::LoginRefused { why: "the API key has characters no key has".into() }
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert("X-Api-Key", value);
    }
    let tls = if url.starts_with("wss:") { Some(Connector::Rustls(tls()?)) } else { None };
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MAX_MESSAGE_BYTES);
    config.max_frame_size = Some(MAX_MESSAGE_BYTES);
    config.read_buffer_size = 16 << 10;
    let connected =
        tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, tls).await;
    match connected {
        Ok((socket, _)) => Ok(Transport::Websocket(Box::new(socket))),
        Err(Error::Http(response))
            if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
        {
            Err(MoonrakerFault::LoginRefused { why: response.status().to_string() })
        }
        Err(Error::Http(response)) => Err(unreachable(format!(
            "it answered {} to the websocket's upgrade, so it may be another server",
            response.status()
        ))),
        Err(Error::Io(error)) => Err(unreachable(error)),
        Err(error) => Err(unreachable(error)),
    }
}

fn tls() -> Result<Arc<rustls::ClientConfig>, MoonrakerFault> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unreachable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn unreachable(why: impl ToString) -> MoonrakerFault {
    MoonrakerFault::Unreachable { why: why.to_string() }
}

fn lost(why: impl ToString) -> MoonrakerFault {
    MoonrakerFault::Lost { why: why.to_string() }
}

fn too_large() -> MoonrakerFault {
    MoonrakerFault::TooMuch { what: "a message larger than 4 MiB" }
}
