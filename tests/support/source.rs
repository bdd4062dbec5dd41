//! Rust sources as the structure's guards see them: which file names what, tests left out.

use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, Macro, UseTree};

/// The folder of this crate.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Below the crate's folder, `src/core/types.rs`.
    pub path: String,
    /// Every path it names outside its tests, absolute, `crate::core::types::Name`, `std::fmt`; macros also as `println!`.
    pub names: Vec<String>,
    /// Its lines.
    pub lines: usize,
}

impl Source {
    /// Reads `text` as the file at `path`.
    pub fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut names = Names { module: module_of(path), found: Vec::new() };
        names.visit_file(&file);
        Self { path: path.to_owned(), names: names.found, lines: text.lines().count() }
    }

    /// The part of the crate it belongs to: `core`, `ports`, `main`.
    pub fn layer(&self) -> String {
        module_of(&self.path).into_iter().next().unwrap_or_else(|| "lib".to_owned())
    }

    /// The parts of the crate it names.
    pub fn layers(&self) -> impl Iterator<Item = &str> {
        let inside = |name: &&str| name.starts_with("crate::") || name.starts_with("strandwatch::");
        let names = self.names.iter().map(String::as_str).filter(inside);
        names.filter_map(|name| name.split("::").nth(1))
    }
}

/// Every source file of the crate that is not for tests alone.
pub fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    assert!(!files.is_empty(), "no sources below {}", root().display());
    files.sort();
    let parse = |file: &PathBuf| {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        Source::parse(&path, &std::fs::read_to_string(file).unwrap())
    };
    files.iter().map(parse).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem();
        if name.is_some_and(|name| name == "tests") {
            continue;
        } else if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module of a file: `src/core/types.rs` is `core::types`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let names = inner.split('/').filter(|name| !matches!(*name, "mod" | "lib"));
    names.map(str::to_owned).collect()
}

struct Names {
    module: Vec<String>,
    found: Vec<String>,
}

impl Names {
    /// Adds a path, with `self` and `super` resolved.
    fn add(&mut self, segments: &[String]) {
        let mut base: Vec<String> = vec!["crate".to_owned()];
        base.extend(self.module.iter().cloned());
        let mut rest = segments;
        match rest.first().map(String::as_str) {
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            _ => base.clear(),
        }
        base.extend(rest.iter().cloned());
        self.found.push(base.join("::"));
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) if name.ident == "self" => self.add(before),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) if rename.ident == "self" => self.add(before),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(&[before, &["*".to_owned()]].concat()),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_tree(before, tree))
            }
        }
    }
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        syn::visit::visit_macro(self, call);
        if let Some(name) = call.path.segments.last() {
            self.found.push(format!("{}!", name.ident));
        }
        // What stands in a macro is tokens only: every chain of names in it counts as a path.
        let tokens = call.tokens.to_string().replace(" :: ", "::");
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for chain in tokens.split(|c| !is_name(c)).filter(|chain| chain.contains("::")) {
            let segments: Vec<String> =
                chain.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            self.add(&segments);
        }
    }
}
