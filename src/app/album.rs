//! Frames of the last minute as JPEGs, so that an incident can keep what came before it, and what comes after.

use std::collections::VecDeque;
use std::sync::Arc;

use super::evidence::Evidence;
use crate::ports::Frame;

/// Makes a JPEG of a frame.
pub type Encode = Arc<dyn Fn(&Frame) -> Result<Vec<u8>, String> + Send + Sync>;

/// Time between two frames that are kept, ms.
const EVERY_MS: u64 = 10_000;
/// Frames before an incident, and after it.
const EACH: usize = 6;

/// One camera's last minute.
pub struct Album {
    encode: Encode,
    evidence: Evidence,
    due_ms: u64,
    recent: VecDeque<(i64, Vec<u8>)>,
    after: Option<(String, usize)>,
}

impl Album {
    /// An empty one.
    pub fn new(encode: Encode, evidence: Evidence) -> Self {
        Self { encode, evidence, due_ms: 0, recent: VecDeque::new(), after: None }
    }

    /// Looks at a frame; keeps it when the last one is old enough.
    pub async fn look(&mut self, frame: &Arc<Frame>) {
        if frame.taken_at.mono_ms < self.due_ms {
            return;
        }
        self.due_ms = frame.taken_at.mono_ms + EVERY_MS;
        let at_s = frame.taken_at.unix_ms.div_euclid(1_000);
        let (encode, evidence, frame) = (self.encode.clone(), self.evidence.clone(), frame.clone());
        let incident = self.after.take_if(|(_, left)| {
            *left -= 1;
            *left == 0
        });
        let incident = incident.or_else(|| self.after.clone()).map(|(incident, _)| incident);
        let encoded = tokio::task::spawn_blocking(move || {
            let jpeg = encode(&frame)?;
            if let Some(incident) = incident {
                evidence.keep_picture(&incident, &format!("after-{at_s}"), &jpeg);
            }
            Ok::<_, String>(jpeg)
        });
        match encoded.await {
            Ok(Ok(jpeg)) => {
                self.recent.push_back((at_s, jpeg));
                if self.recent.len() > EACH {
                    self.recent.pop_front();
                }
            }
            Ok(Err(why)) => tracing::warn!("a frame is not kept: {why}"),
            Err(error) => tracing::warn!("a frame is not kept: {error}"),
        }
    }

    /// An incident raised its alert: keeps what came before, and from now on what comes after.
    pub async fn begin_incident(&mut self, incident: &str) {
        self.after = Some((incident.to_owned(), EACH));
        let (evidence, incident) = (self.evidence.clone(), incident.to_owned());
        let before: Vec<_> = self.recent.iter().cloned().collect();
        let kept = tokio::task::spawn_blocking(move || {
            for (at_s, jpeg) in before {
                evidence.keep_picture(&incident, &format!("before-{at_s}"), &jpeg);
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!("frames before the incident are not kept: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::Now;

    fn frame(at_s: i64) -> Arc<Frame> {
        let taken_at = Now { mono_ms: at_s as u64 * 1_000, unix_ms: at_s * 1_000 };
        Arc::new(Frame { width: 1, height: 1, rgb: vec![0; 3], taken_at, sequence: 0 })
    }

    #[tokio::test]
    async fn an_incident_keeps_a_minute_before_and_a_minute_after() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence::new(folder.path().to_owned(), 1 << 20);
        let mut album = Album::new(Arc::new(|_| Ok(vec![0; 10])), evidence);
        for second in 1_000..1_300 {
            if second == 1_125 {
                album.begin_incident("i1").await;
            }
            album.look(&frame(second)).await;
        }
        let entries = std::fs::read_dir(folder.path().join("i1")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let expected = |which: &str, from: i64| {
            (0..6).map(|i| format!("{which}-{}.jpg", from + 10 * i)).collect::<Vec<_>>()
        };
        assert_eq!(names, [expected("after", 1_130), expected("before", 1_070)].concat());
    }
}
