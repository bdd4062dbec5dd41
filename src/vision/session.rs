//! A model in ONNX Runtime: loading, checking against its manifest, running.

use std::path::Path;
use std::time::Instant;

use ort::ep;
use ort::session::{Session, SessionOutputs};
use ort::value::{TensorElementType, TensorRef};
use sha2::{Digest, Sha256};

use crate::core::detect::statistic::{Lens, frame_score};
use crate::core::types::{FrameScore, Now};
use crate::ports::Frame;

use super::manifest::{Input, Layout, Model, Output};
use super::postprocess::{self, YoloOutput};
use super::preprocess::{Placement, Preprocessor};
use super::{VisionError, library, view};

/// A loaded model and the buffers of its chain: preprocess, session, postprocess. Not shared between threads.
pub struct Detector {
    model: Model,
    session: Session,
    preprocessor: Preprocessor,
}

/// What a model gave for one frame, not yet made a score.
pub struct Prediction {
    /// The output tensors in the order that the manifest's kind names them.
    tensors: Vec<Tensor>,
    /// Time of inference alone, ms.
    pub infer_ms: f32,
}

struct Tensor {
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl Detector {
    /// Loads `model`: checks the file's hash, its inputs and outputs, and runs it once on a grey frame.
    ///
    /// `library` names ONNX Runtime's shared library, `None` looks in the usual places; `threads` is how many threads
    /// share one inference, at least 1.
    pub fn load(
        model: &Model,
        library: Option<&Path>,
        threads: usize,
    ) -> Result<Self, VisionError> {
        let bytes = read_checked(model)?;
        let session = open(&model.file, &bytes, library, threads)?;
        drop(bytes);
        check_names(model, &session)?;
        let preprocessor = Preprocessor::new(&model.input);
        let mut detector = Self { model: model.clone(), session, preprocessor };
        // The first runs show what symbolic shapes hide, and pack the weights.
        let Input { width, height, trim_bars, .. } = model.input;
        detector.score(&grey(width, height))?;
        if trim_bars.is_some() {
            detector.score(&grey(2 * width, height))?;
            detector.score(&grey(width, 2 * height))?;
        }
        Ok(detector)
    }

    /// The model in use.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Scores one frame through the whole chain.
    pub fn score(&mut self, frame: &Frame) -> Result<FrameScore, VisionError> {
        let placement = self.prepare(frame)?;
        let prediction = self.infer()?;
        let score = self.interpret(prediction, &placement)?;
        let (view, brightness) = (view::signature(frame), view::brightness(frame));
        Ok(FrameScore { view, brightness, ..score })
    }

    /// First stage: the frame becomes the input tensor.
    pub fn prepare(&mut self, frame: &Frame) -> Result<Placement, VisionError> {
        self.preprocessor.fill(frame)
    }

    /// Second stage: runs the network on what was prepared.
    pub fn infer(&mut self) -> Result<Prediction, VisionError> {
        let started = Instant::now();
        let failed = |error: ort::Error| VisionError::Inference {
            model: self.model.name.clone(),
            reason: error.to_string(),
        };
        let input =
            TensorRef::from_array_view((self.preprocessor.shape(), self.preprocessor.tensor()))
                .map_err(failed)?;
        let outputs = self
            .session
            .run(ort::inputs![self.model.input.name.as_str() => input])
            .map_err(failed)?;
        let infer_ms = started.elapsed().as_secs_f32() * 1000.0;
        let tensors = names(&self.model.output)
            .map(|name| extract(&self.model, &outputs, name))
            .collect::<Result<_, _>>()?;
        Ok(Prediction { tensors, infer_ms })
    }

    /// Third stage: the output becomes map, boxes and score.
    pub fn interpret(
        &self,
        prediction: Prediction,
        placement: &Placement,
    ) -> Result<FrameScore, VisionError> {
        let Prediction { tensors, infer_ms } = prediction;
        let threshold = self.model.box_threshold;
        let (map, boxes) = match (&self.model.output, tensors.as_slice()) {
            (Output::FailureMap { map: name }, [map]) => {
                let (rows, columns) = self.grid(map, name)?;
                let map = postprocess::failure_map(&map.values, columns, rows, placement);
                let boxes = postprocess::boxes_of_map(&map, threshold, placement);
                (map, boxes)
            }
            (Output::YoloBoxes { failure_class, overlap, .. }, [boxes, confidences]) => {
                let output = self.yolo(boxes, confidences, *failure_class)?;
                let boxes = postprocess::boxes_of_yolo(
                    &output,
                    *failure_class,
                    threshold,
                    *overlap,
                    placement,
                );
                (postprocess::map_of_boxes(&boxes), boxes)
            }
            (_, tensors) => {
                return Err(self.wrong(format!("{} outputs were taken from it", tensors.len())));
            }
        };
        let score = frame_score(self.model.rule, &map, &boxes, &Lens::clear());
        Ok(FrameScore { score, boxes, map, infer_ms, view: None, brightness: None })
    }

    fn wrong(&self, problem: String) -> VisionError {
        VisionError::WrongShape { path: self.model.file.clone(), problem }
    }

    /// Rows and columns of a map's tensor.
    fn grid(&self, map: &Tensor, name: &str) -> Result<(u16, u16), VisionError> {
        let [1, 1, rows, columns] = *map.shape else {
            let problem = format!(
                "output {name:?} has the shape {:?}, a failure map is [1, 1, rows, columns]",
                map.shape
            );
            return Err(self.wrong(problem));
        };
        match (u16::try_from(rows), u16::try_from(columns)) {
            (Ok(rows @ 1..), Ok(columns @ 1..)) => Ok((rows, columns)),
            _ => Err(self.wrong(format!("its failure map has {rows} x {columns} cells"))),
        }
    }

    fn yolo<'t>(
        &self,
        boxes: &'t Tensor,
        confidences: &'t Tensor,
        class: usize,
    ) -> Result<YoloOutput<'t>, VisionError> {
        let count = match *boxes.shape {
            [1, count, 1, 4] | [1, count, 4] => Some(count),
            _ => None,
        };
        match *confidences.shape {
            [1, same, classes] if Some(same) == count && classes as usize > class => {
                Ok(YoloOutput { boxes: &boxes.values, confidences: &confidences.values, classes: classes as usize })
            }
            _ => Err(self.wrong(format!(
                "boxes have the shape {:?} and confidences {:?}, expected [1, N, 1, 4] and [1, N, classes] with a class {class}",
                boxes.shape, confidences.shape
            ))),
        }
    }
}

/// The model file's bytes, once their hash is what the manifest says.
fn read_checked(model: &Model) -> Result<Vec<u8>, VisionError> {
    let bytes = std::fs::read(&model.file)
        .map_err(|source| VisionError::unreadable(&model.file, source))?;
    let found = hex(&Sha256::digest(&bytes));
    if found == model.sha256 {
        Ok(bytes)
    } else {
        let (path, expected) = (model.file.clone(), model.sha256.clone());
        Err(VisionError::WrongHash { path, expected, found })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A session that keeps memory and idle CPU low: no threads that spin, and an arena of its own. Without one every tensor is
/// an aligned allocation, and C libraries before glibc 2.38 hardly ever use those again once other things lie in between: a
/// process that keeps what it scored grew by gigabytes.
pub(super) fn open(
    path: &Path,
    bytes: &[u8],
    library: Option<&Path>,
    threads: usize,
) -> Result<Session, VisionError> {
    let environment = library::environment(library)?;
    let build = || -> Result<Session, ort::Error> {
        Session::builder(&environment)?
            .with_intra_threads(threads.max(1))?
            .with_intra_op_spinning(false)?
            .with_memory_pattern(true)?
            .with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?
            .commit_from_memory(bytes)
    };
    build().map_err(|error| VisionError::ModelRefused {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn names(output: &Output) -> impl Iterator<Item = &str> {
    let (first, second) = match output {
        Output::FailureMap { map } => (map, None),
        Output::YoloBoxes { boxes, confidences, .. } => (boxes, Some(confidences)),
    };
    std::iter::once(first).chain(second).map(String::as_str)
}

/// Compares the session's inputs and outputs with the manifest before anything runs.
fn check_names(model: &Model, session: &Session) -> Result<(), VisionError> {
    let wrong = |problem| Err(VisionError::WrongShape { path: model.file.clone(), problem });
    let has = |outlets: &[ort::value::Outlet]| {
        outlets.iter().map(|o| format!("{:?}", o.name())).collect::<Vec<_>>().join(", ")
    };
    let name = &model.input.name;
    let Some(input) = session.inputs().iter().find(|input| input.name() == name) else {
        return wrong(format!("it has no input {name:?}, but {}", has(session.inputs())));
    };
    if session.inputs().len() != 1 {
        return wrong(format!("it needs more than one input: {}", has(session.inputs())));
    }
    let expected = Preprocessor::new(&model.input).shape();
    let fits = |shape: &[i64]| {
        shape.len() == 4
            && shape.iter().zip(expected).all(|(found, wanted)| *found == -1 || *found == wanted)
    };
    let dtype = input.dtype();
    let float = dtype.tensor_type() == Some(TensorElementType::Float32);
    if !float || !dtype.tensor_shape().is_some_and(|shape| fits(shape)) {
        return wrong(format!("input {name:?} is {dtype}, the manifest says float32 {expected:?}"));
    }
    let sides = match model.input.layout {
        Layout::Nchw => 2..4,
        Layout::Nhwc => 1..3,
    };
    let open = |shape: &[i64]| shape[sides.clone()].iter().all(|size| *size == -1);
    if model.input.trim_bars.is_some() && !dtype.tensor_shape().is_some_and(|shape| open(shape)) {
        return wrong(format!(
            "input {name:?} is {dtype}: [model.input] trim_bars needs rows and columns that are left open"
        ));
    }
    for name in names(&model.output) {
        if !session.outputs().iter().any(|output| output.name() == name) {
            return wrong(format!("it has no output {name:?}, but {}", has(session.outputs())));
        }
    }
    Ok(())
}

/// One output as numbers that are probabilities (or box corners), each finite.
fn extract(model: &Model, outputs: &SessionOutputs, name: &str) -> Result<Tensor, VisionError> {
    let wrong = |problem| VisionError::WrongShape { path: model.file.clone(), problem };
    let output = outputs.get(name).ok_or_else(|| wrong(format!("it gave no output {name:?}")))?;
    let (shape, values) = output
        .try_extract_tensor::<f32>()
        .map_err(|error| wrong(format!("output {name:?} is no float32 tensor: {error}")))?;
    let corners = matches!(&model.output, Output::YoloBoxes { boxes, .. } if boxes == name);
    let bad = |value: &&f32| !value.is_finite() || (!corners && !(-0.001..=1.001).contains(*value));
    match values.iter().find(bad) {
        Some(value) => Err(VisionError::NotProbabilities {
            model: model.name.clone(),
            output: name.to_owned(),
            value: *value,
        }),
        None => Ok(Tensor { shape: shape.to_vec(), values: values.to_vec() }),
    }
}

fn grey(width: u32, height: u32) -> Frame {
    Frame {
        width,
        height,
        rgb: vec![114; width as usize * height as usize * 3],
        taken_at: Now { mono_ms: 0, unix_ms: 0 },
        sequence: 0,
    }
}
