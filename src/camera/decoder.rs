//! Which decoder: hardware first, then by GStreamer's rank, without those that have failed this camera.
//!
//! The registry is asked with the stream's real caps, so on a Raspberry Pi `v4l2h264dec` comes first where the kernel
//! offers it, and `avdec_h264` otherwise; nothing here names a decoder.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstreamer as gst;

/// A decoder that failed is tried again after so long: a driver may have been reloaded.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3600);

/// Plugins whose elements drive hardware although some do not say so in their class.
const HARDWARE_PREFIXES: [&str; 8] = ["v4l2", "va", "nv", "omx", "msdk", "qsv", "mpp", "amc"];

/// A decoder that could be used.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub factory: gst::ElementFactory,
    pub hardware: bool,
}

impl Candidate {
    pub fn name(&self) -> String {
        self.factory.name().to_string()
    }
}

/// The decoders for `caps`, best first.
pub(super) fn candidates(caps: &gst::Caps) -> Vec<Candidate> {
    let decoders = gst::ElementFactory::factories_with_type(
        gst::ElementFactoryType::DECODER,
        gst::Rank::MARGINAL,
    );
    let mut candidates: Vec<Candidate> = decoders
        .iter()
        .filter(|factory| factory.can_sink_any_caps(caps))
        .map(|factory| Candidate { factory: factory.clone(), hardware: is_hardware(factory) })
        .collect();
    candidates.sort_by_key(|candidate| {
        let rank = i32::from(candidate.factory.rank());
        (!candidate.hardware, std::cmp::Reverse(rank), candidate.name())
    });
    candidates
}

fn is_hardware(factory: &gst::ElementFactory) -> bool {
    let class = factory.metadata(gst::ELEMENT_METADATA_KLASS).unwrap_or_default();
    class.split('/').any(|word| word == "Hardware")
        || HARDWARE_PREFIXES.iter().any(|prefix| factory.name().starts_with(prefix))
}

/// What a camera has learnt of its decoders.
#[derive(Debug, Default)]
pub(super) struct Decoders {
    given_up: Vec<GivenUp>,
}

#[derive(Debug)]
struct GivenUp {
    name: String,
    why: String,
    at: Instant,
}

impl Decoders {
    /// The best decoder for `caps` that has not failed.
    pub fn choose(&mut self, caps: &gst::Caps) -> Option<Candidate> {
        self.given_up.retain(|decoder| decoder.at.elapsed() < FORGIVEN_AFTER);
        candidates(caps).into_iter().find(|candidate| !self.has_given_up(&candidate.name()))
    }

    /// Does without this decoder from now on.
    pub fn give_up(&mut self, name: &str, why: String) {
        if !self.has_given_up(name) {
            self.given_up.push(GivenUp { name: name.to_owned(), why, at: Instant::now() });
        }
    }

    /// Tries all of them again: when every one failed, it was the stream.
    pub fn forgive(&mut self) {
        self.given_up.clear();
    }

    /// Each decoder given up, and why, in the order of failing.
    pub fn reasons(&self) -> Vec<String> {
        self.given_up.iter().map(|decoder| format!("{}: {}", decoder.name, decoder.why)).collect()
    }

    fn has_given_up(&self, name: &str) -> bool {
        self.given_up.iter().any(|decoder| decoder.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(media: &str) -> Vec<String> {
        gst::init().unwrap();
        let caps = gst::Caps::builder(media).build();
        candidates(&caps).iter().map(Candidate::name).collect()
    }

    #[test]
    fn hardware_comes_before_software_and_rank_decides_within() {
        gst::init().unwrap();
        let found = candidates(&gst::Caps::builder("image/jpeg").build());
        let order: Vec<_> = found
            .iter()
            .map(|candidate| (!candidate.hardware, -i32::from(candidate.factory.rank())))
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        assert!(found.iter().any(|candidate| candidate.name() == "jpegdec" && !candidate.hardware));
    }

    #[test]
    fn only_decoders_of_the_media_type_are_candidates() {
        assert!(names("video/x-h264").contains(&"avdec_h264".to_owned()));
        assert!(!names("image/jpeg").contains(&"avdec_h264".to_owned()));
        assert!(names("text/html").is_empty());
    }

    #[test]
    fn what_was_given_up_is_not_chosen_until_forgiven() {
        gst::init().unwrap();
        let caps = gst::Caps::builder("image/jpeg").build();
        let mut decoders = Decoders::default();
        let first = decoders.choose(&caps).unwrap().name();
        decoders.give_up(&first, "it broke".into());
        decoders.give_up(&first, "said twice".into());
        assert_eq!(decoders.reasons(), [format!("{first}: it broke")]);
        assert_ne!(decoders.choose(&caps).unwrap().name(), first);
        decoders.forgive();
        assert_eq!(decoders.choose(&caps).unwrap().name(), first);
    }
}
