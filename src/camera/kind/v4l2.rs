//! A camera on this host, by Video4Linux. JPEG is preferred, since frames nobody asks for then need no decoding; H.264
//! next, raw pictures last (a USB 2 bus carries few of them).

use std::path::Path;

use gst::prelude::*;
use gstreamer as gst;

use crate::camera::trouble::{Trouble, make};

use super::{Plan, StreamPlan};

pub(super) const REMEDY: &str = "is another program using it (crowsnest does: take its http address instead), is it plugged in, and may this user open it (group video)?";

/// What we would like: enough for strands, cheap enough for a Raspberry Pi.
const WIDTH: i32 = 1280;
const HEIGHT: i32 = 720;
const FRAMES_PER_SECOND: i32 = 15;

/// Formats, best first.
const FORMATS: [&str; 3] = ["image/jpeg", "video/x-h264", "video/x-raw"];

pub(super) fn plan(device: &Path) -> Result<Plan, Trouble> {
    let shown = device.display();
    if !device.exists() {
        return Err(Trouble::unreachable(format!(
            "there is no device {shown}: see `ls -l /dev/v4l/by-id/` for those there are"
        )));
    }
    let source = make("v4l2src")?;
    source.set_property("device", device.to_string_lossy().as_ref());
    source.set_property("do-timestamp", true);
    let offered = offered(&source)
        .ok_or_else(|| Trouble::unreachable(format!("{shown} cannot be opened: {REMEDY}")))?;
    let wanted = choose(&offered).ok_or_else(|| {
        Trouble::undecodable(format!(
            "{shown} offers neither JPEG nor H.264 nor raw pictures, only {offered}: it may be the camera's metadata device, try the next number"
        ))
    })?;
    let filter = make("capsfilter")?;
    filter.set_property("caps", wanted);
    Ok(StreamPlan::live(vec![source, filter]))
}

/// The formats that the device offers; the driver only says so when it is open.
fn offered(source: &gst::Element) -> Option<gst::Caps> {
    source.set_state(gst::State::Ready).ok()?;
    let caps = source.static_pad("src").map(|pad| pad.query_caps(None));
    let _ = source.set_state(gst::State::Null);
    caps
}

/// One format, size and rate out of what is offered: the best format, in it the size nearest to 1280 × 720, at the rate
/// nearest to 15 a second.
fn choose(offered: &gst::Caps) -> Option<gst::Caps> {
    let wanted = |structure: &&gst::StructureRef| {
        FORMATS.iter().position(|format| structure.name() == *format)
    };
    let fixed = |structure: &gst::StructureRef| {
        let mut fixed = structure.to_owned();
        fixed.fixate_field_nearest_int("width", WIDTH);
        fixed.fixate_field_nearest_int("height", HEIGHT);
        if fixed.has_field("framerate") {
            fixed.fixate_field_nearest_fraction(
                "framerate",
                gst::Fraction::new(FRAMES_PER_SECOND, 1),
            );
        }
        fixed
    };
    let distance = |structure: &gst::Structure| {
        let off = |field, wish: i32| {
            structure.get::<i32>(field).map_or(i32::MAX / 2, |size| (size - wish).abs())
        };
        off("width", WIDTH) + off("height", HEIGHT)
    };
    let best = offered
        .iter()
        .filter_map(|structure| Some((wanted(&structure)?, fixed(structure))))
        .min_by_key(|(format, structure)| (*format, distance(structure)))?;
    let mut caps = gst::Caps::builder_full().structure(best.1).build();
    caps.fixate();
    Some(caps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn chosen(offered: &str) -> Option<String> {
        gst::init().unwrap();
        choose(&gst::Caps::from_str(offered).unwrap()).map(|caps| caps.to_string())
    }

    #[test]
    fn jpeg_before_h264_before_raw() {
        let jpeg = "image/jpeg, width=1920, height=1080, framerate={30/1, 15/1, 5/1}";
        let h264 = "video/x-h264, width=1280, height=720, framerate=30/1";
        let raw = "video/x-raw, format=YUY2, width=1280, height=720, framerate=10/1";
        let first = |offered: &str| chosen(offered).unwrap().split(',').next().unwrap().to_owned();
        assert_eq!(first(&format!("{raw}; {h264}; {jpeg}")), "image/jpeg");
        assert_eq!(first(&format!("{raw}; {h264}")), "video/x-h264");
        assert_eq!(first(raw), "video/x-raw");
        assert_eq!(chosen("video/x-bayer, width=640, height=480"), None);
    }

    #[test]
    fn the_size_nearest_to_720p_at_the_rate_nearest_to_15() {
        let offered = "image/jpeg, width=640, height=480, framerate=30/1; \
            image/jpeg, width=1280, height=720, framerate={60/1, 30/1, 10/1}; \
            image/jpeg, width=2592, height=1944, framerate=5/1";
        let chosen = chosen(offered).unwrap();
        assert!(chosen.contains("1280") && chosen.contains("10/1"), "{chosen}");
    }

    #[test]
    fn ranges_are_narrowed_to_one_format() {
        let offered = "video/x-raw, format={YUY2, NV12}, width=[16, 4096], height=[16, 4096], framerate=[1/1, 60/1]";
        let chosen = chosen(offered).unwrap();
        for part in ["1280", "720", "15/1"] {
            assert!(chosen.contains(part), "{chosen}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_what_to_do() {
        let Err(trouble) = plan(Path::new("/dev/video-none")) else { panic!("opened") };
        assert!(trouble.why.contains("/dev/video-none") && trouble.why.contains("by-id"));
    }
}
