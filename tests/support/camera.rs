//! Cameras over HTTP that do what a script says, and pictures to send.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strandwatch::core::types::Now;
use strandwatch::ports::Clock;

/// Both clocks, from the host.
pub struct HostClock(Instant);

impl HostClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for HostClock {
    fn now(&self) -> Now {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Now { mono_ms: self.0.elapsed().as_millis() as u64, unix_ms: unix.as_millis() as i64 }
    }
}

/// What the client asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Counts the connections of this server, from 0.
    pub nth: usize,
    pub path: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
}

/// The server's end of a connection. Writing to a client that has gone ends the script quietly.
pub struct Wire {
    stream: TcpStream,
    stop: Arc<AtomicBool>,
}

/// The client has gone, or the test is over.
pub struct Gone;

pub type Served = Result<(), Gone>;

impl Wire {
    pub fn bytes(&mut self, bytes: &[u8]) -> Served {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        self.stream.write_all(bytes).map_err(|_| Gone)
    }

    pub fn text(&mut self, text: &str) -> Served {
        self.bytes(text.as_bytes())
    }

    /// An answer without more to follow, such as `status("404 Not Found")`.
    pub fn status(&mut self, status: &str) -> Served {
        self.text(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    }

    /// A whole body.
    pub fn body(&mut self, kind: &str, body: &[u8]) -> Served {
        let length = body.len();
        self.text(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        ))?;
        self.bytes(body)
    }

    /// The head of an MJPEG stream.
    pub fn stream_head(&mut self) -> Served {
        self.text(
            "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n",
        )
    }

    /// One part of an MJPEG stream.
    pub fn part(&mut self, jpeg: &[u8]) -> Served {
        let length = jpeg.len();
        self.text(&format!(
            "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
        ))?;
        self.bytes(jpeg)?;
        self.text("\r\n")
    }

    /// Parts for ever, about 30 a second, going through `pictures`.
    pub fn parts(&mut self, pictures: &[Vec<u8>]) -> Served {
        for picture in pictures.iter().cycle() {
            self.part(picture)?;
            self.pace()?;
        }
        Ok(())
    }

    /// `count` parts, about 30 a second.
    pub fn some_parts(&mut self, pictures: &[Vec<u8>], count: usize) -> Served {
        for picture in pictures.iter().cycle().take(count) {
            self.part(picture)?;
            self.pace()?;
        }
        Ok(())
    }

    /// The time between two frames.
    pub fn pace(&mut self) -> Served {
        std::thread::sleep(Duration::from_millis(33));
        self.bytes(&[])
    }

    /// Says nothing until the client goes.
    pub fn silence(&mut self) -> Served {
        self.stream.set_read_timeout(Some(Duration::from_millis(50))).map_err(|_| Gone)?;
        loop {
            let mut byte = [0];
            match std::io::Read::read(&mut self.stream, &mut byte) {
                Ok(0) => return Err(Gone),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
                Err(_) => return Err(Gone),
            }
            self.bytes(&[])?;
        }
    }
}

/// A scripted camera on a port of loopback.
pub struct HttpCamera {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    open: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl HttpCamera {
    /// Runs `script` for each connection, each on its own thread.
    pub fn start(script: impl Fn(&Request, &mut Wire) -> Served + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// The same, on a port of the test's choice.
    pub fn start_on(
        listener: TcpListener,
        script: impl Fn(&Request, &mut Wire) -> Served + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let camera =
            Self { port, requests: Arc::default(), open: Arc::default(), stop: Arc::default() };
        let (requests, open, stop) =
            (Arc::clone(&camera.requests), Arc::clone(&camera.open), Arc::clone(&camera.stop));
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let (requests, open, stop, script) = (
                    Arc::clone(&requests),
                    Arc::clone(&open),
                    Arc::clone(&stop),
                    Arc::clone(&script),
                );
                let thread = std::thread::Builder::new().name("http-camera".to_owned());
                thread
                    .spawn(move || {
                        let Some(request) = read_request(&stream, &requests) else { return };
                        open.fetch_add(1, Ordering::SeqCst);
                        let _ = script(&request, &mut Wire { stream, stop });
                        open.fetch_sub(1, Ordering::SeqCst);
                    })
                    .unwrap();
            }
        });
        camera
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Connections whose script still runs.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for HttpCamera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn read_request(stream: &TcpStream, requests: &Mutex<Vec<Request>>) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut authorization = None;
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("authorization") {
            authorization = Some(value.trim().to_owned());
        }
    }
    let mut requests = requests.lock().unwrap();
    let request = Request { nth: requests.len(), path, authorization };
    requests.push(request.clone());
    Some(request)
}

/// An RGB test picture with sharp edges and noise, another for each `n`. The top left quarter is red, the top right
/// green, the bottom left blue, the bottom right grey.
pub fn scene(width: u32, height: u32, n: u32) -> image::RgbImage {
    let mut noise = n.wrapping_mul(2_654_435_761).wrapping_add(1);
    image::RgbImage::from_fn(width, height, |x, y| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let bright = if (x / 16 + y / 16) % 2 == 0 { 200 } else { 150 } - (noise % 24) as u8;
        let dim = bright / 4;
        match (x < width / 2, y < height / 2) {
            (true, true) => image::Rgb([bright, dim, dim]),
            (false, true) => image::Rgb([dim, bright, dim]),
            (true, false) => image::Rgb([dim, dim, bright]),
            (false, false) => image::Rgb([bright; 3]),
        }
    })
}

pub fn jpeg(picture: &image::RgbImage) -> Vec<u8> {
    let mut encoded = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut encoded, image::ImageFormat::Jpeg).unwrap();
    encoded.into_inner()
}

/// `count` JPEGs of a scene that does not move but has noise.
pub fn jpegs(width: u32, height: u32, count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|n| jpeg(&scene(width, height, n))).collect()
}

/// Decoders that break, to be registered with GStreamer in front of the real ones.
pub mod breaking {
    use gst::glib;
    use gst::prelude::*;
    use gst::subclass::prelude::*;
    use gstreamer as gst;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{LazyLock, Mutex};

    /// How the decoder breaks.
    #[derive(Clone, Copy, Debug)]
    pub enum Breaks {
        /// With an error at its n-th frame; before that it gives grey pictures of 320 × 240.
        AtFrame(u32),
        /// It takes frames and never gives anything.
        Silent,
        /// It cannot be started.
        AtStart,
    }

    static HOW: Mutex<Option<Breaks>> = Mutex::new(None);
    static FRAMES: AtomicU32 = AtomicU32::new(0);

    /// Registers `brokendec` for `media`, as hardware, ranked over every decoder there is. Once a process, as nextest
    /// gives each test its own.
    pub fn register(media: &'static str, how: Breaks) {
        gst::init().unwrap();
        *HOW.lock().unwrap() = Some(how);
        *MEDIA.lock().unwrap() = media;
        let rank = gst::Rank::PRIMARY + 1000;
        gst::Element::register(None, "brokendec", rank, Broken::static_type()).unwrap();
    }

    /// How many frames the broken decoder was given.
    pub fn frames() -> u32 {
        FRAMES.load(Ordering::SeqCst)
    }

    static MEDIA: Mutex<&'static str> = Mutex::new("");

    glib::wrapper! {
        pub struct Broken(ObjectSubclass<Imp>) @extends gst::Element, gst::Object;
    }

    pub struct Imp {
        sink: gst::Pad,
        src: gst::Pad,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "BrokenDecoder";
        type Type = Broken;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = gst::Pad::builder_from_template(&class.pad_template("sink").unwrap())
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(
                        parent,
                        || Err(gst::FlowError::Error),
                        |broken| broken.decode(&buffer),
                    )
                })
                .event_function(|pad, parent, event| {
                    if event.type_() == gst::EventType::Caps {
                        let caps = gst::Caps::builder("video/x-raw")
                            .field("format", "GRAY8")
                            .field("width", 320)
                            .field("height", 240)
                            .field("framerate", gst::Fraction::new(0, 1))
                            .build();
                        let parent = parent.and_then(|parent| parent.downcast_ref::<Broken>());
                        return parent.unwrap().imp().src.push_event(gst::event::Caps::new(&caps));
                    }
                    gst::Pad::event_default(pad, parent, event)
                })
                .build();
            let src = gst::Pad::from_template(&class.pad_template("src").unwrap());
            Self { sink, src }
        }
    }

    impl Imp {
        fn decode(&self, encoded: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let nth = FRAMES.fetch_add(1, Ordering::SeqCst) + 1;
            match HOW.lock().unwrap().unwrap() {
                Breaks::AtFrame(last) if nth >= last => {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Decode,
                        ["the chip is on fire"]
                    );
                    Err(gst::FlowError::Error)
                }
                Breaks::AtFrame(_) => self.give_grey(encoded),
                Breaks::Silent | Breaks::AtStart => Ok(gst::FlowSuccess::Ok),
            }
        }

        fn give_grey(&self, encoded: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut grey = gst::Buffer::from_slice([120_u8; 320 * 240]);
            grey.get_mut().unwrap().set_pts(encoded.pts());
            self.src.push(grey)
        }
    }

    impl ObjectImpl for Imp {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().add_pad(&self.sink).unwrap();
            self.obj().add_pad(&self.src).unwrap();
        }
    }

    impl GstObjectImpl for Imp {}

    impl ElementImpl for Imp {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Broken decoder",
                    "Codec/Decoder/Video/Hardware",
                    "Breaks as a test wishes",
                    "Strandwatch",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction, caps: &gst::Caps| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).unwrap()
                };
                let encoded = gst::Caps::builder(*MEDIA.lock().unwrap()).build();
                let raw = gst::Caps::builder("video/x-raw").build();
                vec![
                    template("sink", gst::PadDirection::Sink, &encoded),
                    template("src", gst::PadDirection::Src, &raw),
                ]
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            change: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            let starts = change == gst::StateChange::NullToReady;
            if starts && matches!(*HOW.lock().unwrap(), Some(Breaks::AtStart)) {
                gst::element_imp_error!(self, gst::ResourceError::Busy, ["the chip is taken"]);
                return Err(gst::StateChangeError);
            }
            self.parent_change_state(change)
        }
    }
}

/// A video of [`scene`]s at 10 frames a second, made with GStreamer.
pub fn video(path: &std::path::Path, encoder: &str, muxer: &str, frames: u32) {
    use gst::prelude::*;
    use gstreamer as gst;
    gst::init().unwrap();
    let description = format!(
        "appsrc name=in format=time caps=video/x-raw,format=RGB,width=320,height=240,framerate=10/1 \
         ! videoconvert ! {encoder} ! {muxer} ! filesink location={}",
        path.display()
    );
    let pipeline = gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for n in 0..frames {
        let mut buffer = gst::Buffer::from_slice(scene(320, 240, n).into_raw());
        let timed = buffer.get_mut().unwrap();
        timed.set_pts(gst::ClockTime::from_mseconds(100) * u64::from(n));
        timed.set_duration(gst::ClockTime::from_mseconds(100));
        input.push_buffer(buffer).unwrap();
    }
    input.end_of_stream().unwrap();
    let bus = pipeline.bus().unwrap();
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &types).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A real RTSP server, and its port; see `camera_rtsp.py`.
pub fn rtsp_server() -> (super::Child, u16) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/camera_rtsp.py");
    // Debian's own Python, for the bindings are Debian's.
    let mut child = std::process::Command::new("/usr/bin/python3")
        .arg(script)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().parse();
    let child = super::Child(child);
    (child, port.expect("a port: are python3-gi and gir1.2-gst-rtsp-server-1.0 installed?"))
}
