//! A running pipeline: built from a kind's plan and a [`Chain`], reporting what happens to it.

use std::sync::Arc;

use gst::prelude::*;
use gstreamer as gst;

use super::chain::Chain;
use super::kind::StreamPlan;
use super::trouble::{PipelineError, Trouble};

/// What a running pipeline reports.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    /// An element failed.
    Failed {
        error: PipelineError,
        /// It was the decoder.
        by_decoder: bool,
    },
    /// The stream cannot be shown.
    Unusable(Trouble),
    /// The stream is over.
    Ended,
}

/// Takes reports, on GStreamer's threads; must not block for long.
pub(super) type Tell = Arc<dyn Fn(Happened) + Send + Sync>;

/// A pipeline that plays until this is dropped or stopped.
pub(super) struct Running {
    pipeline: gst::Pipeline,
}

impl Running {
    /// Builds and starts it. May block for a moment, as drivers do.
    pub fn start(plan: &StreamPlan, chain: &Arc<Chain>, tell: &Tell) -> Result<Self, Trouble> {
        let pipeline = gst::Pipeline::new();
        let running = Self { pipeline: pipeline.clone() };
        report_messages(&pipeline, chain, tell)?;
        let failed = |error: gst::glib::BoolError| Trouble::unreachable(error.to_string());
        pipeline.add_many(plan.elements.iter()).map_err(failed)?;
        for pair in plan.elements.windows(2) {
            link(&pair[0], &pair[1]).map_err(failed)?;
        }
        if let Some(last) = plan.elements.last() {
            report_end(last, tell);
            attach(&pipeline, last, chain, tell)?;
        }
        // A failing change of state also posts an error, which says more.
        let _ = pipeline.set_state(gst::State::Playing);
        Ok(running)
    }

    /// Takes it down. Blocks as long as the slowest driver does.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

/// Reads the bus on the thread that posts, so that it needs neither a main loop nor a thread, and nothing piles up.
fn report_messages(
    pipeline: &gst::Pipeline,
    chain: &Arc<Chain>,
    tell: &Tell,
) -> Result<(), Trouble> {
    let bus = pipeline.bus().ok_or_else(|| Trouble::unreachable("the pipeline has no bus"))?;
    let (chain, tell) = (Arc::clone(chain), Arc::clone(tell));
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let by_decoder = chain.is_decoder(message.src());
            tell(Happened::Failed { error: PipelineError::read(error), by_decoder });
        } else if message.type_() == gst::MessageType::Eos {
            tell(Happened::Ended);
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

/// The pipeline's own end-of-stream comes from its sink, which there is none of before the first frame.
fn report_end(last: &gst::Element, tell: &Tell) {
    let Some(entry) = last.static_pad("sink") else { return };
    let (last, tell) = (last.downgrade(), Arc::clone(tell));
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let ends = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        if ends && last.upgrade().is_some_and(|last| last.num_src_pads() == 0) {
            tell(Happened::Ended);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Links now, or when the pad is there.
fn link(from: &gst::Element, to: &gst::Element) -> Result<(), gst::glib::BoolError> {
    if from.static_pad("src").is_some() {
        return from.link(to);
    }
    let to = to.downgrade();
    from.connect_pad_added(move |_, pad| {
        let sink = to.upgrade().and_then(|to| to.static_pad("sink"));
        if let Some(sink) = sink.filter(|sink| !sink.is_linked()) {
            // What cannot be linked makes its element report "not linked".
            let _ = pad.link(&sink);
        }
    });
    Ok(())
}

/// Attaches the decoder now, or when the pad is there.
fn attach(
    pipeline: &gst::Pipeline,
    last: &gst::Element,
    chain: &Arc<Chain>,
    tell: &Tell,
) -> Result<(), Trouble> {
    if let Some(pad) = last.static_pad("src") {
        return chain.attach(pipeline, &pad);
    }
    let (pipeline, chain, tell) = (pipeline.downgrade(), Arc::clone(chain), Arc::clone(tell));
    last.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if let Err(trouble) = chain.attach(&pipeline, pad) {
            tell(Happened::Unusable(trouble));
        }
    });
    Ok(())
}
