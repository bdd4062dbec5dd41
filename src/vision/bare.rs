//! An ONNX file without a manifest: run on noise, to know what it costs.

use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::VisionError;
use super::session::open;

/// What an unnamed dimension becomes, by its place in a tensor of four: one picture, three colours, 320 px a side.
const GUESS: [i64; 4] = [1, 3, 320, 320];

/// A network and noise for each of its inputs.
pub struct BareSession {
    path: PathBuf,
    session: Session,
    inputs: Vec<(String, Vec<i64>, Vec<f32>)>,
}

impl BareSession {
    /// Loads an ONNX file whose inputs are float32 tensors; dimensions that it leaves open are guessed.
    pub fn load(path: &Path, library: Option<&Path>, threads: usize) -> Result<Self, VisionError> {
        let bytes = std::fs::read(path).map_err(|source| VisionError::unreadable(path, source))?;
        let session = open(path, &bytes, library, threads)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let inputs = session
            .inputs()
            .iter()
            .map(|input| {
                let shape = shape_of(path, input)?;
                let count = shape.iter().product::<i64>().max(0) as usize;
                let noise = (0..count).map(|_| random.random::<f32>()).collect();
                Ok((input.name().to_owned(), shape, noise))
            })
            .collect::<Result<_, VisionError>>()?;
        Ok(Self { path: path.to_owned(), session, inputs })
    }

    /// Shape of the first input.
    pub fn shape(&self) -> &[i64] {
        self.inputs.first().map_or(&[], |(_, shape, _)| shape)
    }

    /// Runs the network once; the outputs are dropped.
    pub fn run(&mut self) -> Result<(), VisionError> {
        let failed = |error: ort::Error| VisionError::Inference {
            model: self.path.display().to_string(),
            reason: error.to_string(),
        };
        let inputs = self
            .inputs
            .iter()
            .map(|(name, shape, noise)| {
                Ok((name.as_str(), TensorRef::from_array_view((shape.clone(), noise.as_slice()))?))
            })
            .collect::<Result<Vec<_>, ort::Error>>()
            .map_err(failed)?;
        self.session.run(inputs).map(|_| ()).map_err(failed)
    }
}

fn shape_of(path: &Path, input: &Outlet) -> Result<Vec<i64>, VisionError> {
    let dtype = input.dtype();
    let (Some(TensorElementType::Float32), Some(shape)) =
        (dtype.tensor_type(), dtype.tensor_shape())
    else {
        let name = input.name();
        let problem =
            format!("input {name:?} is {dtype}; only float32 tensors can be filled with noise");
        return Err(VisionError::WrongShape { path: path.to_owned(), problem });
    };
    let guess = |(i, size): (usize, &i64)| match *size {
        -1 => GUESS.get(i).copied().unwrap_or(1),
        size => size,
    };
    Ok(shape.iter().enumerate().map(guess).collect())
}
