//! Checks `[[printer]]` and `[[printer.camera]]`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use http::Uri;

use super::check::{Context, name};
use super::checked::{Camera, CameraSource, Endpoint, Login, Printer};
use super::problem::Key;
use super::raw::{self, CameraFrom, UrlKind};
use crate::core::geometry::{self, BedView};

/// Topic levels below the base that are not printers.
const RESERVED: [&str; 3] = ["client", "status", "health"];

/// The printers, at least one.
pub(super) fn check(context: &mut Context<'_>, printers: &[raw::Printer]) -> Vec<Printer> {
    let default = [raw::Printer::default()];
    let printers = if printers.is_empty() { &default[..] } else { printers };
    let (mut names, mut endpoints) = (BTreeSet::new(), Vec::new());
    let mut checked = Vec::new();
    for (index, printer) in printers.iter().enumerate() {
        let key = Key::new("printer").item(index);
        if RESERVED.contains(&printer.name.as_str()) {
            let why = format!("{} is a topic of Strandwatch's own", printer.name);
            context.error(&key.at("name"), why, format!("write name = \"{}-1\"", printer.name));
        }
        if !names.insert(&printer.name) {
            let why = format!("another printer has the name {:?}", printer.name);
            let write = format!("give each its own: name = \"{}-{}\"", printer.name, index + 1);
            context.error(&key.at("name"), why, write);
        }
        let endpoint = endpoint(context, &key.at("moonraker"), &printer.moonraker);
        if endpoint.as_ref().is_some_and(|endpoint| endpoints.contains(endpoint)) {
            let write = "leave one of them out, or correct the address";
            context.warning(&key.at("moonraker"), "another printer has this Moonraker", write);
        }
        endpoints.extend(endpoint.clone());
        let cameras = cameras(context, &key, printer);
        let name = name(context, &key.at("name"), &printer.name);
        if let (Some(name), Some(moonraker)) = (name, endpoint) {
            let api_key = context.keyring.api_keys.remove(name.as_str());
            checked.push(Printer { name, moonraker, api_key, cameras });
        }
    }
    checked
}

fn endpoint(context: &mut Context<'_>, key: &Key, text: &str) -> Option<Endpoint> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    if path.starts_with(['/', '~']) {
        return Some(Endpoint::Unix(context.path(&PathBuf::from(path.trim_start_matches("//")))));
    }
    let uri =
        text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let scheme = match uri.as_ref().and_then(Uri::scheme_str) {
        Some("ws" | "http") => "ws",
        Some("wss" | "https") => "wss",
        _ => {
            let host = text.rsplit("://").next().unwrap_or_default();
            let host = host.split('/').next().filter(|host| !host.is_empty());
            let host = host.unwrap_or("127.0.0.1:7125");
            let port = if host.contains(':') { "" } else { ":7125" };
            let write = format!("write moonraker = \"ws://{host}{port}/websocket\"");
            let why =
                "is not the address of a Moonraker: ws://, http://, or the path of its unix socket";
            context.error(key, why, write);
            return None;
        }
    };
    let uri = uri?;
    let authority = uri.authority()?.as_str();
    if authority.contains('@') {
        let write = "put the API key into the secrets file: [printer.NAME] api_key = \"…\"";
        context.error(key, "no login may stand in this address", write);
        return None;
    }
    let path = match uri.path_and_query().map(|path| path.as_str()) {
        None | Some("" | "/") => "/websocket",
        Some(path) => path,
    };
    Some(Endpoint::Websocket(format!("{scheme}://{authority}{path}")))
}

fn cameras(context: &mut Context<'_>, printer: &Key, raw: &raw::Printer) -> Vec<Camera> {
    let default = [raw::Camera::default()];
    let cameras = if raw.camera.is_empty() { &default[..] } else { &raw.camera[..] };
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, camera) in cameras.iter().enumerate() {
        let key = printer.at("camera").item(index);
        if !names.insert(&camera.name) {
            let why = format!("another camera of this printer has the name {:?}", camera.name);
            let write = format!("give each its own: name = \"{}-{}\"", camera.name, index + 1);
            context.error(&key.at("name"), why, write);
        }
        let source = source(context, &key, &raw.name, camera);
        let name = name(context, &key.at("name"), &camera.name);
        if let (Some(name), Some(source)) = (name, source) {
            checked.push(Camera {
                name,
                source,
                rotate: camera.rotate,
                flip_horizontal: camera.flip_horizontal,
                flip_vertical: camera.flip_vertical,
                masks: masks(context, &key.at("masks"), camera),
                bed: bed(context, &key, camera),
            });
        }
    }
    checked
}

/// Outlines that hold something and lie in the picture.
fn masks(context: &mut Context<'_>, key: &Key, camera: &raw::Camera) -> Vec<Vec<[f64; 2]>> {
    let mut masks = Vec::new();
    for (index, outline) in camera.masks.iter().flatten().enumerate() {
        let key = key.item(index);
        let example = "write at least three points, such as [[0.1, 0.2], [0.9, 0.2], [0.5, 1.0]]";
        let points: Vec<[f64; 2]> = outline.iter().filter_map(|at| in_picture(at)).collect();
        if outline.len() < 3 {
            context.error(&key, format!("has {} points: no outline", outline.len()), example);
        } else if points.len() < outline.len() {
            let write = "write each point as [x, y], two fractions between 0 and 1: pixels divided by the picture's size";
            context.error(&key, "has a point that is none of the picture", write);
        } else if geometry::doubled_area(&points).abs() < 1e-4 {
            context.error(&key, "encloses nothing: its points lie on a line", example);
        } else {
            masks.push(points);
        }
    }
    masks
}

/// A point of the picture.
fn in_picture(point: &[f64]) -> Option<[f64; 2]> {
    let point = <[f64; 2]>::try_from(point).ok()?;
    point.iter().all(|part| (0.0..=1.0).contains(part)).then_some(point)
}

/// Where the bed lies, where both keys say so.
fn bed(context: &mut Context<'_>, key: &Key, camera: &raw::Camera) -> Option<BedView> {
    let (corners, extent) = match (&camera.bed_corners, &camera.bed_mm) {
        (None, None) => return None,
        (Some(corners), Some(extent)) => (corners, extent),
        (Some(_), None) => {
            let write = "write bed_mm = [0.0, 0.0, 235.0, 235.0] with the bed's size as well";
            context.error(&key.at("bed_corners"), "means nothing without bed_mm", write);
            return None;
        }
        (None, Some(_)) => {
            let write = "run strandwatch calibrate, which prints both";
            context.error(&key.at("bed_mm"), "means nothing without bed_corners", write);
            return None;
        }
    };
    let corners: Option<Vec<[f64; 2]>> = corners.iter().map(|at| in_picture(at)).collect();
    let corners = corners.and_then(|corners| <[[f64; 2]; 4]>::try_from(corners).ok());
    let extent_mm = <[f64; 4]>::try_from(extent.as_slice()).ok();
    let extent_mm = extent_mm.filter(|[x0, y0, x1, y1]| x0 < x1 && y0 < y1);
    if extent_mm.is_none() {
        let write = "write [smallest x, smallest y, largest x, largest y], such as [0.0, 0.0, 235.0, 235.0]";
        context.error(&key.at("bed_mm"), "is not the extent of a bed in mm", write);
    }
    let view = corners.zip(extent_mm).map(|(corners, extent_mm)| BedView { corners, extent_mm });
    if corners.is_none() || view.is_some_and(|view| view.homography().is_none()) {
        let write =
            "mark front left, front right, back right, back left: strandwatch calibrate shows how";
        let why = "are not the four corners of a bed in the picture, as fractions of it";
        context.error(&key.at("bed_corners"), why, write);
        return None;
    }
    view
}

fn source(
    context: &mut Context<'_>,
    key: &Key,
    printer: &str,
    camera: &raw::Camera,
) -> Option<CameraSource> {
    let from_moonraker = camera.from == Some(CameraFrom::Moonraker);
    let given: Vec<&str> = [
        ("from", from_moonraker),
        ("url", camera.url.is_some()),
        ("device", camera.device.is_some()),
        ("path", camera.path.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    if let [first, others @ ..] = given.as_slice()
        && !others.is_empty()
    {
        let why = format!("one camera cannot have {} at once", given.join(" and "));
        context.error(&key.at(others[0]), why, format!("keep {first}, or leave {first} out"));
        return None;
    }
    if camera.webcam.is_some() && !(given.is_empty() || from_moonraker) {
        let write = format!("leave webcam out, or {} out", given[0]);
        context.error(&key.at("webcam"), "is a name in Moonraker, which is not asked here", write);
    }
    if camera.kind.is_some() && (camera.device.is_some() || camera.path.is_some()) {
        context.error(&key.at("kind"), "is only for addresses", "leave it out");
    }
    if let Some(url) = &camera.url {
        return from_url(context, key, printer, camera, url);
    }
    if let Some(device) = &camera.device {
        let device = context.path(device);
        if !device.exists() {
            let write = "plug it in, or look for it: ls /dev/v4l/by-id";
            context.warning(&key.at("device"), "there is no such device now", write);
        }
        return Some(CameraSource::Device(device));
    }
    if let Some(path) = &camera.path {
        let path = context.path(path);
        if !path.exists() {
            let write = format!("put a video or a folder of pictures at {}", path.display());
            context.error(&key.at("path"), "there is no such file or folder", write);
        }
        return Some(CameraSource::Files(path));
    }
    Some(CameraSource::Moonraker { webcam: camera.webcam.clone(), kind: camera.kind })
}

fn from_url(
    context: &mut Context<'_>,
    camera_key: &Key,
    printer: &str,
    camera: &raw::Camera,
    text: &str,
) -> Option<CameraSource> {
    let key = camera_key.at("url");
    let uri =
        text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let scheme = uri.as_ref().and_then(Uri::scheme_str).unwrap_or_default();
    let Some(uri) = uri.as_ref().filter(|_| matches!(scheme, "http" | "https" | "rtsp" | "rtsps"))
    else {
        let write = if text.starts_with("/dev/") {
            format!("write device = {text:?}")
        } else {
            "write the whole address, such as url = \"http://127.0.0.1:8080/?action=stream\""
                .to_owned()
        };
        context.error(&key, "is not an http, https, rtsp or rtsps address", write);
        return None;
    };
    let rtsp = scheme.starts_with("rtsp");
    let kind = camera.kind.unwrap_or_else(|| guess(uri, rtsp));
    if rtsp != (kind == UrlKind::Rtsp) {
        let write = "leave kind out, or correct the address";
        context.error(&camera_key.at("kind"), format!("does not fit {scheme}://"), write);
    }
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        let table = format!("[printer.{printer}.camera.{}]", camera.name);
        let write =
            format!("leave the password out here; in the secrets file: {table} password = \"…\"");
        context.secret_error(&key, "holds a password", write);
        return None;
    }
    let password = super::secrets::camera(context.keyring, printer, &camera.name);
    if user.is_empty() && password.is_some() {
        let write = format!("write the user name into it: {scheme}://USER@{host}…");
        context.error(&key, "has a password in the secrets file and no user name", write);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let login = (!user.is_empty()).then(|| Login { username: user.to_owned(), password });
    Some(CameraSource::Url { url: format!("{scheme}://{host}{path}"), kind, login })
}

/// How an address is most likely meant.
fn guess(uri: &Uri, rtsp: bool) -> UrlKind {
    let path = uri.path().to_lowercase();
    let query = uri.query().unwrap_or_default().to_lowercase();
    let still = [".jpg", ".jpeg", ".png", "/snapshot"].iter().any(|end| path.ends_with(end));
    if rtsp {
        UrlKind::Rtsp
    } else if path.ends_with(".m3u8") {
        UrlKind::Hls
    } else if still || query.contains("action=snapshot") {
        UrlKind::Snapshot
    } else {
        UrlKind::Mjpeg
    }
}
