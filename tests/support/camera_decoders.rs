//! Decoders that break, to be registered with GStreamer in front of the real ones.

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
                gst::element_imp_error!(self, gst::StreamError::Decode, ["the chip is on fire"]);
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
