//! From an encoded stream's pad to RGB pictures: gate, decoder, conversion, sink; see the module's picture in
//! [`super`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::prelude::*;
use gstreamer as gst;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video as gst_video;

use crate::core::types::Decoding;

use super::decoder::{Candidate, Decoders};
use super::trouble::{Trouble, make};

/// What looks at the pictures. Called from GStreamer's streaming threads.
pub(super) trait Viewer: Send + Sync + 'static {
    /// A frame came, decoded or not.
    fn arrived(&self);

    /// Whether the frame with this time stamp is wanted; asked once a frame, before the decoder where frames do not
    /// depend on each other, and otherwise after it.
    fn wants(&self, at: Option<gst::ClockTime>) -> bool;

    /// The decoder gave its first frame.
    fn decoded_by(&self, decoding: Decoding);

    /// A wanted picture; when its frame came off the wire, as far as that can be told.
    fn show(&self, picture: &Picture<'_>, at: Option<gst::ClockTime>, arrived: Instant);
}

/// RGB rows as they lie in GStreamer's buffer.
pub(super) struct Picture<'a> {
    pub rows: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
    pub width: u32,
    pub height: u32,
    /// Since the beginning of the stream.
    pub played: Option<gst::ClockTime>,
}

/// Why a decoder is thought to be stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    /// It took frames and gave nothing.
    Decoder,
    /// Every JPEG ends before its end marker.
    CutOff,
}

/// How long and for how many frames a decoder may give nothing: one picture is enough where each stands alone, else it
/// waits for the next key frame.
const ALONE_PATIENCE: (u32, Duration) = (3, Duration::from_secs(3));
const GROUP_PATIENCE: (u32, Duration) = (60, Duration::from_secs(15));

/// Frames in the decoder whose time of arrival is remembered.
const REMEMBERED_ARRIVALS: usize = 64;

/// A JPEG's last bytes are searched for its end marker; some cameras pad.
const PADDING: usize = 1024;

/// What happened since the last picture.
#[derive(Debug, Default)]
struct Progress {
    /// Frames that went into the decoder.
    entered: u32,
    /// JPEGs without an end.
    cut_off: u32,
    /// When the first of either came.
    since: Option<Instant>,
    /// Time stamps of the newest frames and when they came off the wire.
    arrivals: VecDeque<(gst::ClockTime, Instant)>,
}

impl Progress {
    fn waits(&mut self, count: impl FnOnce(&mut Self)) {
        count(self);
        self.since.get_or_insert_with(Instant::now);
    }

    fn picture_came(&mut self) {
        self.entered = 0;
        self.cut_off = 0;
        self.since = None;
    }
}

/// The elements from the stream to the pictures, and which of them the gate stands before.
struct Stages {
    elements: Vec<gst::Element>,
    gate: usize,
}

impl Stages {
    fn entry(&self) -> Option<gst::Pad> {
        self.elements.first()?.static_pad("sink")
    }
}

/// One stream's decoding, shared with the streaming threads.
pub(super) struct Chain {
    viewer: Arc<dyn Viewer>,
    decoders: Arc<Mutex<Decoders>>,
    paced: bool,
    progress: Mutex<Progress>,
    /// The decoder in use.
    current: Mutex<Option<Current>>,
}

struct Current {
    candidate: Candidate,
    /// Weak, for the element's pads hold the chain.
    element: gst::glib::WeakRef<gst::Element>,
    jpeg: bool,
}

/// A decoder made for a stream.
struct Chosen {
    candidate: Candidate,
    element: gst::Element,
    /// Each frame stands alone, so the gate stands before the decoder.
    jpeg: bool,
}

impl Chosen {
    fn current(&self) -> Current {
        Current {
            candidate: self.candidate.clone(),
            element: self.element.downgrade(),
            jpeg: self.jpeg,
        }
    }
}

impl Chain {
    pub fn new(viewer: Arc<dyn Viewer>, decoders: Arc<Mutex<Decoders>>, paced: bool) -> Self {
        Self { viewer, decoders, paced, progress: Mutex::default(), current: Mutex::default() }
    }

    /// Decodes what comes out of `pad`, in `pipeline`. Sound, and a second stream of the same camera, are left alone.
    pub fn attach(
        self: &Arc<Self>,
        pipeline: &gst::Pipeline,
        pad: &gst::Pad,
    ) -> Result<(), Trouble> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let Some(media) = caps.structure(0).map(|structure| structure.name().to_string()) else {
            return Ok(());
        };
        let is_picture = media.starts_with("video/") || media.starts_with("image/");
        if !is_picture || pipeline.by_name(SINK).is_some() {
            return Ok(());
        }
        let decoder = if media == "video/x-raw" { None } else { Some(self.decoder(&caps)?) };
        let stages = self.stages(decoder.as_ref())?;
        let failed =
            |error: gst::glib::BoolError| Trouble::undecodable(format!("{media}: {error}"));
        pipeline.add_many(stages.elements.iter()).map_err(failed)?;
        gst::Element::link_many(stages.elements.iter()).map_err(failed)?;
        self.observe(&stages, decoder.as_ref());
        *lock(&self.current) = decoder.as_ref().map(Chosen::current);
        for element in stages.elements.iter().rev() {
            // A decoder that cannot start posts an error, which is dealt with where errors are.
            let _ = element.sync_state_with_parent();
        }
        let linked = stages.entry().and_then(|entry| pad.link(&entry).ok());
        linked.map(drop).ok_or_else(|| Trouble::undecodable(format!("{media} could not be linked")))
    }

    /// What stands between the stream and the pictures.
    fn stages(self: &Arc<Self>, decoder: Option<&Chosen>) -> Result<Stages, Trouble> {
        let mut decoding = Vec::new();
        if let Some(decoder) = decoder {
            // Most decoders must be told the picture's size, which HTTP does not say.
            if decoder.jpeg {
                decoding.push(make("jpegparse")?);
            }
            decoding.push(decoder.element.clone());
        }
        let pace = if self.paced { vec![make("clocksync")?] } else { Vec::new() };
        let ending = vec![make("videoconvert")?, self.sink().upcast()];
        let alone = decoder.is_none_or(|decoder| decoder.jpeg);
        let (gate, elements) = if alone {
            (pace.len(), [pace, decoding, ending].concat())
        } else {
            (decoding.len() + pace.len(), [decoding, pace, ending].concat())
        };
        Ok(Stages { elements, gate })
    }

    /// Puts the gate and the counters where they belong.
    fn observe(self: &Arc<Self>, stages: &Stages, decoder: Option<&Chosen>) {
        let jpeg = decoder.is_some_and(|decoder| decoder.jpeg);
        self.on_buffers(stages.entry(), |chain, buffer| {
            chain.viewer.arrived();
            chain.remember_arrival(buffer.pts());
            gst::PadProbeReturn::Ok
        });
        self.on_buffers(stages.elements[stages.gate].static_pad("sink"), move |chain, buffer| {
            if !chain.viewer.wants(buffer.pts()) {
                return DROPPED;
            }
            if jpeg {
                let whole = is_whole(buffer);
                lock(&chain.progress).waits(|progress| match whole {
                    true => progress.entered += 1,
                    false => progress.cut_off += 1,
                });
                return if whole { gst::PadProbeReturn::Ok } else { DROPPED };
            }
            gst::PadProbeReturn::Ok
        });
        let Some(decoder) = decoder else { return };
        if !jpeg {
            self.on_buffers(decoder.element.static_pad("sink"), |chain, _| {
                lock(&chain.progress).waits(|progress| progress.entered += 1);
                gst::PadProbeReturn::Ok
            });
        }
        let element = decoder.candidate.name();
        let hardware = decoder.candidate.hardware;
        let told = std::sync::Once::new();
        self.on_buffers(decoder.element.static_pad("src"), move |chain, _| {
            lock(&chain.progress).picture_came();
            told.call_once(|| {
                let gave_up = lock(&chain.decoders).reasons();
                let element = Some(element.clone());
                chain.viewer.decoded_by(Decoding { element, hardware, gave_up });
            });
            gst::PadProbeReturn::Ok
        });
    }

    fn on_buffers<F>(self: &Arc<Self>, pad: Option<gst::Pad>, probe: F)
    where
        F: Fn(&Self, &gst::BufferRef) -> gst::PadProbeReturn + Send + Sync + 'static,
    {
        let chain = Arc::clone(self);
        let seen = move |_: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
            info.buffer().map_or(gst::PadProbeReturn::Ok, |buffer| probe(&chain, buffer))
        };
        if let Some(pad) = pad {
            pad.add_probe(gst::PadProbeType::BUFFER, seen);
        }
    }

    fn remember_arrival(&self, at: Option<gst::ClockTime>) {
        let Some(at) = at else { return };
        let arrivals = &mut lock(&self.progress).arrivals;
        if arrivals.len() == REMEMBERED_ARRIVALS {
            arrivals.pop_front();
        }
        arrivals.push_back((at, Instant::now()));
    }

    fn show(&self, sample: &gst::SampleRef) {
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else { return };
        let at = buffer.pts();
        let arrived = {
            let progress = lock(&self.progress);
            let known = progress.arrivals.iter().rev().find(|(pts, _)| Some(*pts) == at);
            known.map_or_else(Instant::now, |(_, arrived)| *arrived)
        };
        let Ok(info) = gst_video::VideoInfo::from_caps(caps) else { return };
        let Ok(frame) = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info) else {
            return;
        };
        let (Ok(rows), Some(stride)) = (frame.plane_data(0), frame.plane_stride().first()) else {
            return;
        };
        let stride = usize::try_from(*stride).unwrap_or_default();
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let played = segment.and_then(|segment| segment.to_running_time(at));
        let (width, height) = (frame.width(), frame.height());
        let picture = Picture { rows, stride, width, height, played };
        self.viewer.show(&picture, at, arrived);
    }

    /// Whether `source`, which reported an error, is the decoder or a part of it.
    pub fn is_decoder(&self, source: Option<&gst::Object>) -> bool {
        lock(&self.current).as_ref().is_some_and(|current| {
            let (Some(source), Some(element)) = (source, current.element.upgrade()) else {
                return false;
            };
            source == element.upcast_ref::<gst::Object>() || source.has_as_ancestor(&element)
        })
    }

    /// Whether the decoder took something and has given nothing since.
    pub fn owes_a_picture(&self) -> bool {
        lock(&self.progress).entered > 0
    }

    /// Does without the decoder in use from now on. `false` when there is none.
    pub fn give_up_decoder(&self, why: String) -> bool {
        let current = lock(&self.current);
        let Some(current) = current.as_ref() else { return false };
        lock(&self.decoders).give_up(&current.candidate.name(), why);
        true
    }

    /// Whether pictures fail to come although frames do.
    pub fn stuck(&self) -> Option<Stuck> {
        let jpeg = lock(&self.current).as_ref().is_some_and(|current| current.jpeg);
        let (frames, patience) = if jpeg { ALONE_PATIENCE } else { GROUP_PATIENCE };
        let progress = lock(&self.progress);
        if progress.since?.elapsed() < patience {
            None
        } else if progress.entered >= frames {
            Some(Stuck::Decoder)
        } else {
            (progress.cut_off >= frames).then_some(Stuck::CutOff)
        }
    }

    /// Makes the best decoder that can be made.
    fn decoder(&self, caps: &gst::Caps) -> Result<Chosen, Trouble> {
        let media = caps.structure(0).map(|structure| structure.name().to_string());
        let jpeg = media.as_deref() == Some("image/jpeg");
        let mut decoders = lock(&self.decoders);
        while let Some(candidate) = decoders.choose(caps) {
            match candidate.factory.create().build() {
                Ok(element) => {
                    // One damaged frame is no reason to stop; one that never gives a picture is noticed here.
                    if element.has_property_with_type("max-errors", i32::static_type()) {
                        element.set_property("max-errors", -1_i32);
                    }
                    return Ok(Chosen { candidate, element, jpeg });
                }
                Err(error) => decoders.give_up(&candidate.name(), error.to_string()),
            }
        }
        let media = media.unwrap_or_default();
        let reasons = decoders.reasons();
        decoders.forgive();
        Err(Trouble::undecodable(if reasons.is_empty() {
            format!("no decoder for {media} is installed: install gstreamer1.0-libav")
        } else {
            format!(
                "every decoder for {media} failed ({}): what arrives is damaged",
                reasons.join("; ")
            )
        }))
    }

    fn sink(self: &Arc<Self>) -> AppSink {
        let chain = Arc::clone(self);
        let show = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            chain.show(&sample);
            Ok(gst::FlowSuccess::Ok)
        };
        AppSink::builder()
            .name(SINK)
            .caps(&gst::Caps::builder("video/x-raw").field("format", "RGB").build())
            .sync(false)
            .async_(false)
            .max_buffers(1)
            .drop(true)
            .enable_last_sample(false)
            .callbacks(AppSinkCallbacks::builder().new_sample(show).build())
            .build()
    }
}

/// Drops the frame. Not `Drop`: with this binding, GStreamer before 1.24.8 then releases a null pointer, and complains.
const DROPPED: gst::PadProbeReturn = gst::PadProbeReturn::Handled;

/// The sink's name: there is one in a pipeline.
const SINK: &str = "pictures";

/// A lock whose holder panicked still guards usable data here: counters and lists.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a JPEG has its end marker, perhaps followed by padding. One cut off on the wire decodes to a picture that is
/// grey below, which must not be scored.
fn is_whole(buffer: &gst::BufferRef) -> bool {
    let Ok(bytes) = buffer.map_readable() else { return false };
    let tail = &bytes[bytes.len().saturating_sub(PADDING)..];
    bytes.starts_with(&[0xFF, 0xD8]) && tail.windows(2).any(|pair| pair == [0xFF, 0xD9])
}
