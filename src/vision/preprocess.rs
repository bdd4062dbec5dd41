//! Frames to network input, the same bytes as `models/train/preprocess.py` computes. Pure, but for buffers that are kept from frame to frame.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::ports::Frame;

use super::VisionError;
use super::manifest::{Colour, Input, Layout, Resize};

/// Where a frame lies inside the network's input, in input pixels; what is outside it is padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First column of the frame.
    pub left: u32,
    /// First row of the frame.
    pub top: u32,
    /// Columns of the frame, at least 1.
    pub width: u32,
    /// Rows of the frame, at least 1.
    pub height: u32,
    /// Width and height of the whole input.
    pub input: (u32, u32),
}

impl Placement {
    /// The placement of a frame of `width` × `height` px (both at least 1).
    pub fn of(width: u32, height: u32, input: &Input) -> Self {
        let whole = (input.width, input.height);
        if input.resize == Resize::Stretch {
            return Self { left: 0, top: 0, width: whole.0, height: whole.1, input: whole };
        }
        let scale =
            f64::min(f64::from(whole.0) / f64::from(width), f64::from(whole.1) / f64::from(height));
        let scaled = |side: u32, limit: u32| {
            ((f64::from(side) * scale + 0.5).floor() as u32).clamp(1, limit)
        };
        let (width, height) = (scaled(width, whole.0), scaled(height, whole.1));
        let (left, top) = ((whole.0 - width) / 2, (whole.1 - height) / 2);
        let trimmed = |bar: u32| input.trim_bars.map_or(0, |by| bar / by.get() * by.get());
        Self {
            left: left - trimmed(left),
            top: top - trimmed(top),
            width,
            height,
            input: (whole.0 - 2 * trimmed(left), whole.1 - 2 * trimmed(top)),
        }
    }

    /// The frame's part of the input, `[x0, y0, x1, y1]` as fractions of the input.
    pub fn content(&self) -> [f32; 4] {
        let (width, height) = (self.input.0 as f32, self.input.1 as f32);
        [
            self.left as f32 / width,
            self.top as f32 / height,
            (self.left + self.width) as f32 / width,
            (self.top + self.height) as f32 / height,
        ]
    }

    /// Fractions of the input to fractions of the frame, clipped to 0..1.
    pub fn to_frame(&self, x: f32, y: f32) -> (f32, f32) {
        let x = (x * self.input.0 as f32 - self.left as f32) / self.width as f32;
        let y = (y * self.input.1 as f32 - self.top as f32) / self.height as f32;
        (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0))
    }
}

/// Turns frames into the network's input tensor.
pub struct Preprocessor {
    input: Input,
    resizer: Resizer,
    options: ResizeOptions,
    resized: Image<'static>,
    /// Normalised value of each byte, by colour in the tensor's order.
    levels: [[f32; 256]; 3],
    tensor: Vec<f32>,
    placement: Placement,
}

impl Preprocessor {
    /// A preprocessor for this input.
    pub fn new(input: &Input) -> Self {
        let algorithm = if input.antialias {
            ResizeAlg::Convolution(FilterType::Bilinear)
        } else {
            ResizeAlg::Interpolation(FilterType::Bilinear)
        };
        let levels = std::array::from_fn(|colour| {
            std::array::from_fn(|byte| {
                (byte as f32 / 255.0 - input.mean[colour]) / input.std[colour]
            })
        });
        Self {
            input: input.clone(),
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(algorithm),
            resized: Image::new(1, 1, PixelType::U8x3),
            levels,
            tensor: Vec::new(),
            // Of a frame that fills the input.
            placement: Placement::of(input.width, input.height, input),
        }
    }

    /// Fills the tensor from a frame and says where the frame lies in it.
    pub fn fill(&mut self, frame: &Frame) -> Result<Placement, VisionError> {
        let bad = || VisionError::BadFrame {
            width: frame.width,
            height: frame.height,
            bytes: frame.rgb.len(),
        };
        if frame.width == 0 || frame.height == 0 {
            return Err(bad());
        }
        let source = ImageRef::new(frame.width, frame.height, &frame.rgb, PixelType::U8x3)
            .map_err(|_| bad())?;
        let placement = Placement::of(frame.width, frame.height, &self.input);
        if self.placement != placement || self.tensor.is_empty() {
            self.resized = Image::new(placement.width, placement.height, PixelType::U8x3);
            self.placement = placement;
            self.pad();
        }
        self.resizer.resize(&source, &mut self.resized, &self.options).map_err(|_| bad())?;
        self.place(placement);
        Ok(placement)
    }

    /// The tensor of the last frame: shape as [`Preprocessor::shape`].
    pub fn tensor(&self) -> &[f32] {
        &self.tensor
    }

    /// The tensor's shape: of the last frame; before any, of one that fills the input.
    pub fn shape(&self) -> [i64; 4] {
        let (width, height) = self.placement.input;
        let (width, height) = (i64::from(width), i64::from(height));
        match self.input.layout {
            Layout::Nchw => [1, 3, height, width],
            Layout::Nhwc => [1, height, width, 3],
        }
    }

    /// Makes the tensor as large as the frame needs, all padding.
    fn pad(&mut self) {
        let (width, height) = self.placement.input;
        let plane = width as usize * height as usize;
        self.tensor.resize(3 * plane, 0.0);
        let padding = self.levels.map(|levels| levels[usize::from(self.input.pad)]);
        for (i, value) in self.tensor.iter_mut().enumerate() {
            *value = match self.input.layout {
                Layout::Nchw => padding[i / plane],
                Layout::Nhwc => padding[i % 3],
            };
        }
    }

    /// Writes the resized picture, normalised, to its place.
    fn place(&mut self, placement: Placement) {
        let stride = placement.input.0 as usize;
        let plane = self.tensor.len() / 3;
        let (left, top) = (placement.left as usize, placement.top as usize);
        let row_bytes = placement.width as usize * 3;
        for (y, row) in self.resized.buffer().chunks_exact(row_bytes).enumerate() {
            let start = (top + y) * stride + left;
            for colour in 0..3 {
                let source = match self.input.colour {
                    Colour::Rgb => colour,
                    Colour::Bgr => 2 - colour,
                };
                let levels = &self.levels[colour];
                let bytes = row.iter().skip(source).step_by(3);
                match self.input.layout {
                    Layout::Nchw => {
                        let target = &mut self.tensor[colour * plane + start..];
                        target
                            .iter_mut()
                            .zip(bytes)
                            .for_each(|(t, b)| *t = levels[usize::from(*b)]);
                    }
                    Layout::Nhwc => {
                        let target = self.tensor[start * 3 + colour..].iter_mut().step_by(3);
                        target.zip(bytes).for_each(|(t, b)| *t = levels[usize::from(*b)]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use crate::core::types::Now;

    use super::*;

    fn input(layout: Layout, colour: Colour, resize: Resize) -> Input {
        Input {
            name: "frame".to_owned(),
            width: 32,
            height: 16,
            layout,
            colour,
            resize,
            pad: 114,
            mean: [0.1, 0.2, 0.3],
            std: [1.0, 0.5, 2.0],
            antialias: true,
            trim_bars: None,
        }
    }

    /// Two pixels: orange, and a shade of blue.
    fn frame() -> Frame {
        let rgb = vec![255, 128, 0, 10, 20, 250];
        Frame { width: 2, height: 1, rgb, taken_at: Now { mono_ms: 0, unix_ms: 0 }, sequence: 0 }
    }

    fn filled(input: &Input) -> Vec<f32> {
        let mut preprocessor = Preprocessor::new(input);
        preprocessor.fill(&frame()).unwrap();
        preprocessor.tensor().to_vec()
    }

    #[test]
    fn the_first_pixel_is_normalised_in_the_tensors_own_colour_order() {
        let plane = 32 * 16;
        let value = |byte: f32, colour: usize| {
            (byte / 255.0 - [0.1, 0.2, 0.3][colour]) / [1.0, 0.5, 2.0][colour]
        };
        let rgb = [255.0, 128.0, 0.0];
        for (colours, expected) in [(Colour::Rgb, rgb), (Colour::Bgr, [0.0, 128.0, 255.0])] {
            let planes = filled(&input(Layout::Nchw, colours, Resize::Letterbox));
            let pixels = filled(&input(Layout::Nhwc, colours, Resize::Letterbox));
            for (colour, byte) in expected.into_iter().enumerate() {
                assert!((planes[colour * plane] - value(byte, colour)).abs() < 1e-6);
                assert_eq!(pixels[colour], planes[colour * plane]);
            }
            for at in 0..plane {
                let pixel: Vec<f32> = (0..3).map(|colour| planes[colour * plane + at]).collect();
                assert_eq!(pixel, pixels[at * 3..at * 3 + 3]);
            }
        }
    }

    #[test]
    fn a_stretched_frame_fills_the_input_and_a_letterboxed_one_keeps_its_shape() {
        let stretched = input(Layout::Nchw, Colour::Rgb, Resize::Stretch);
        let all = Placement { left: 0, top: 0, width: 32, height: 16, input: (32, 16) };
        assert_eq!(Placement::of(5, 700, &stretched), all);
        assert_eq!(all.content(), [0.0, 0.0, 1.0, 1.0]);
        let boxed = Placement::of(100, 100, &input(Layout::Nchw, Colour::Rgb, Resize::Letterbox));
        assert_eq!((boxed.left, boxed.top, boxed.width, boxed.height), (8, 0, 16, 16));
        assert_eq!(boxed.content(), [0.25, 0.0, 0.75, 1.0]);
        assert_eq!(boxed.to_frame(0.5, 0.5), (0.5, 0.5));
        assert_eq!(boxed.to_frame(0.0, 2.0), (0.0, 1.0));
        let thin = Placement::of(10_000, 1, &input(Layout::Nchw, Colour::Rgb, Resize::Letterbox));
        assert_eq!((thin.width, thin.height), (32, 1));
    }

    #[test]
    fn trimmed_bars_leave_the_frame_where_the_networks_stride_had_it() {
        let whole = Input {
            width: 320,
            height: 320,
            ..input(Layout::Nchw, Colour::Rgb, Resize::Letterbox)
        };
        let trimming = Input { trim_bars: NonZeroU32::new(32), ..whole.clone() };
        for (width, height, expected) in [
            (640, 480, (320, 256)),
            (1280, 720, (320, 192)),
            (480, 640, (256, 320)),
            (500, 500, (320, 320)),
            (10_000, 1, (320, 64)),
        ] {
            let (kept, trimmed) =
                (Placement::of(width, height, &whole), Placement::of(width, height, &trimming));
            assert_eq!(trimmed.input, expected, "{width} x {height}");
            assert_eq!((trimmed.width, trimmed.height), (kept.width, kept.height));
            assert_eq!((kept.left - trimmed.left) % 32, 0);
            assert_eq!((kept.top - trimmed.top) % 32, 0);
        }
    }

    #[test]
    fn the_tensor_follows_the_frames_shape_and_forgets_the_last_one() {
        let input = Input {
            trim_bars: NonZeroU32::new(4),
            ..input(Layout::Nchw, Colour::Rgb, Resize::Letterbox)
        };
        let mut preprocessor = Preprocessor::new(&input);
        assert_eq!(preprocessor.shape(), [1, 3, 16, 32]);
        let of = |width: u32, height: u32| Frame {
            width,
            height,
            rgb: vec![200; (width * height * 3) as usize],
            ..frame()
        };
        for (width, height, shape) in
            [(100, 100, [1, 3, 16, 16]), (100, 10, [1, 3, 8, 32]), (100, 100, [1, 3, 16, 16])]
        {
            preprocessor.fill(&of(width, height)).unwrap();
            let mut fresh = Preprocessor::new(&input);
            fresh.fill(&of(width, height)).unwrap();
            assert_eq!(preprocessor.shape(), shape);
            assert_eq!(preprocessor.tensor(), fresh.tensor());
            assert_eq!(preprocessor.tensor().len() as i64, shape.iter().product::<i64>());
        }
    }
}
