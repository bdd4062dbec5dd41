//! From a frame to a score, with the real ONNX Runtime.

mod cli;
mod drawing;
mod golden;
mod light;
mod loading;
mod moved;
mod scoring;
