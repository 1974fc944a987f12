//! The source tree as a graph of modules: who imports whom, from `use` declarations and from paths in
//! code, each path followed to the file that defines what it names.
//!
//! What counts as an edge from file A to file B:
//! - a `use` in A, at any depth of its braces, of an item that B defines;
//! - a path in A's code or macros (`crate::engine::load()`, `super::x`, `Kind::Busy`) that leads to an
//!   item of B, also through names that A imported, through globs and through re-exports;
//! - a call in A of a method that B gives to a type of another file, if A knows the type (`impl Store`
//!   outside of store.rs hides an import: the caller needs B).
//!
//! What does not:
//! - `mod child;`: a parent names its children, it does not need them;
//! - a re-export (`pub use`, `pub(crate) use`): whoever goes through it has the edge, to the file that
//!   defines the item and not to the one that passes it on. Layers look at re-exports too;
//! - a `use` of a module by itself: the paths through that name are the edges;
//! - whatever is `#[cfg(test)]`, in the file or in a file of its own.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{HashMap, HashSet};
use std::slice::from_ref;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

type Path = Vec<String>;

/// Names of methods that the standard library's collections and iterators have too.
const COLLECTIONS: [&str; 12] = [
    "clear", "contains", "entry", "find", "get", "insert", "iter", "join", "len", "next", "push",
    "remove",
];

pub struct File {
    /// Below `src`, with `/`.
    pub path: String,
    pub text: String,
    pub syntax: syn::File,
    pub test_only: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Via {
    /// A `use` or a path in code.
    Import,
    /// A method that `to` gives to a type of this file.
    Method(usize),
    /// `pub use`.
    ReExport,
    /// A `use` of a module by itself.
    Module,
}

pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    /// The path as it is written.
    pub path: String,
    pub via: Via,
}

/// A path that leads out of the crate: `std::fs`, `ort::Session`.
pub struct Foreign {
    pub file: usize,
    pub line: usize,
    pub path: Path,
}

pub struct Tree {
    pub files: Vec<File>,
    pub edges: Vec<Edge>,
    pub foreign: Vec<Foreign>,
}

#[derive(Default)]
struct Module {
    file: usize,
    items: HashSet<String>,
    children: HashSet<String>,
    /// Names brought in by `use`, and what each stands for, read from this module.
    imports: HashMap<String, Path>,
    globs: Vec<Path>,
}

enum Found {
    Module(Path),
    /// The file that defines it.
    Item(usize),
}

struct Stray {
    file: usize,
    /// The file that defines the type.
    home: usize,
}

/// What is known of the modules before their code is walked through.
#[derive(Default)]
struct Graph {
    modules: HashMap<Path, Module>,
    /// Methods that a type is given outside of its own file, by name. Where several inherent impls of
    /// the tree have the name, or a collection of the standard library, a call does not tell which it
    /// is: those are left out.
    strays: HashMap<String, Stray>,
}

impl Tree {
    /// # Panics
    /// A file is no Rust.
    pub fn of(sources: Vec<(String, String)>) -> Tree {
        let mut files: Vec<File> = sources
            .into_iter()
            .map(|(path, text)| {
                let syntax = syn::parse_file(&text).unwrap_or_else(|e| panic!("src/{path}: {e}"));
                File {
                    path,
                    text,
                    syntax,
                    test_only: false,
                }
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let tests = test_modules(&files);
        for file in &mut files {
            let module = module_of(&file.path);
            file.test_only = tests.iter().any(|test| module.starts_with(test));
        }
        let mut graph = Graph::default();
        for (index, file) in files.iter().enumerate().filter(|(_, f)| !f.test_only) {
            graph.add_items(index, &module_of(&file.path), &file.syntax.items);
        }
        graph.find_strays(&files);
        let mut tree = Tree {
            files: Vec::new(),
            edges: Vec::new(),
            foreign: Vec::new(),
        };
        for (index, file) in files.iter().enumerate().filter(|(_, f)| !f.test_only) {
            let mut walk = Walk {
                graph: &graph,
                tree: &mut tree,
                file: index,
                module: module_of(&file.path),
            };
            walk.visit_file(&file.syntax);
        }
        tree.forget_namesakes();
        tree.files = files;
        tree
    }

    /// A call of a method is an edge only where the file knows the type: others of the name are
    /// another type's, or the standard library's.
    fn forget_namesakes(&mut self) {
        let known: HashSet<(usize, usize)> = self.edges.iter().map(|e| (e.from, e.to)).collect();
        self.edges.retain(|edge| match edge.via {
            Via::Method(home) => edge.from == home || known.contains(&(edge.from, home)),
            _ => true,
        });
    }

    /// `src/engine/find.rs:12`
    pub fn at(&self, file: usize, line: usize) -> String {
        format!("src/{}:{line}", self.files[file].path)
    }
}

/// `a/b.rs` and `a/b/mod.rs` are both the module `a::b`.
fn module_of(path: &str) -> Path {
    let path = path.trim_end_matches(".rs");
    let mut parts: Path = path.split('/').map(String::from).collect();
    if parts.len() == 1 && parts[0] == "lib" || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Modules in files of their own that are declared under `#[cfg(test)]`.
fn test_modules(files: &[File]) -> Vec<Path> {
    let mut found = Vec::new();
    for file in files {
        for item in &file.syntax.items {
            if let syn::Item::Mod(module) = item
                && is_test(&module.attrs)
            {
                let mut path = module_of(&file.path);
                path.push(module.ident.to_string());
                found.push(path);
            }
        }
    }
    found
}

pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test")
            || path.is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|condition| condition.is_ident("test"))
    })
}

pub fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item::{
        Const, Enum, ExternCrate, Fn, ForeignMod, Impl, Macro, Mod, Static, Struct, Trait,
        TraitAlias, Type, Union, Use,
    };
    match item {
        Const(i) => &i.attrs,
        Enum(i) => &i.attrs,
        ExternCrate(i) => &i.attrs,
        Fn(i) => &i.attrs,
        ForeignMod(i) => &i.attrs,
        Impl(i) => &i.attrs,
        Macro(i) => &i.attrs,
        Mod(i) => &i.attrs,
        Static(i) => &i.attrs,
        Struct(i) => &i.attrs,
        Trait(i) => &i.attrs,
        TraitAlias(i) => &i.attrs,
        Type(i) => &i.attrs,
        Union(i) => &i.attrs,
        Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The name that an item defines, where it defines one.
fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(i) => &i.ident,
        syn::Item::Enum(i) => &i.ident,
        syn::Item::Fn(i) => &i.sig.ident,
        syn::Item::Macro(i) => i.ident.as_ref()?,
        syn::Item::Static(i) => &i.ident,
        syn::Item::Struct(i) => &i.ident,
        syn::Item::Trait(i) => &i.ident,
        syn::Item::Type(i) => &i.ident,
        syn::Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The type of an inherent impl, as a path.
fn inherent(item: &syn::ItemImpl) -> Option<Path> {
    match (&item.trait_, &*item.self_ty) {
        (None, syn::Type::Path(path)) => Some(names(&path.path)),
        _ => None,
    }
}

fn names(path: &syn::Path) -> Path {
    path.segments.iter().map(|s| s.ident.to_string()).collect()
}

/// One leaf of a `use` tree: what it names, and the name that it has here (None: a glob).
struct Leaf {
    path: Path,
    name: Option<String>,
    line: usize,
}

fn leaves(tree: &syn::UseTree, before: &Path, found: &mut Vec<Leaf>) {
    let with = |name: &syn::Ident| [before.as_slice(), &[name.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), found),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, before, found);
            }
        }
        syn::UseTree::Glob(glob) => found.push(Leaf {
            path: before.clone(),
            name: None,
            line: glob.span().start().line,
        }),
        syn::UseTree::Name(_) | syn::UseTree::Rename(_) => {
            let (ident, rename) = match tree {
                syn::UseTree::Rename(r) => (&r.ident, Some(&r.rename)),
                syn::UseTree::Name(n) => (&n.ident, None),
                _ => unreachable!(),
            };
            // `a::{self}` is `a`.
            let path = if ident == "self" && !before.is_empty() {
                before.clone()
            } else {
                with(ident)
            };
            let name = rename.map(|r| r.to_string()).or(path.last().cloned());
            found.push(Leaf {
                path,
                name,
                line: ident.span().start().line,
            });
        }
    }
}

impl Graph {
    fn add_items(&mut self, file: usize, module: &Path, items: &[syn::Item]) {
        let mut here = Module {
            file,
            ..Module::default()
        };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            here.items.extend(defined(item));
            if let syn::Item::Mod(child) = item {
                let name = child.ident.to_string();
                if let Some((_, inner)) = &child.content {
                    let path = [module.as_slice(), from_ref(&name)].concat();
                    self.add_items(file, &path, inner);
                }
                here.children.insert(name);
            }
        }
        // A `use` inside of a function counts as one of its module.
        let mut uses = Uses(Vec::new());
        for item in items.iter().filter(|i| !matches!(i, syn::Item::Mod(_))) {
            uses.visit_item(item);
        }
        for leaf in uses.0 {
            match leaf.name {
                Some(name) => {
                    here.imports.insert(name, leaf.path);
                }
                None => here.globs.push(leaf.path),
            }
        }
        self.modules.insert(module.clone(), here);
    }

    fn find_strays(&mut self, files: &[File]) {
        let mut methods: HashMap<String, Vec<Stray>> = HashMap::new();
        for (index, file) in files.iter().enumerate().filter(|(_, f)| !f.test_only) {
            for item in &file.syntax.items {
                let syn::Item::Impl(block) = item else {
                    continue;
                };
                let Some(path) = inherent(block).filter(|_| !is_test(&block.attrs)) else {
                    continue;
                };
                let home = self.resolve(&module_of(&file.path), &path, &mut HashSet::new());
                let Some(Found::Item(home)) = home else {
                    continue;
                };
                for method in &block.items {
                    if let syn::ImplItem::Fn(method) = method {
                        let name = method.sig.ident.to_string();
                        let stray = Stray { file: index, home };
                        methods.entry(name).or_default().push(stray);
                    }
                }
            }
        }
        for (name, mut places) in methods {
            if let (Some(stray), true) = (places.pop(), places.is_empty())
                && stray.file != stray.home
                && !COLLECTIONS.contains(&name.as_str())
            {
                self.strays.insert(name, stray);
            }
        }
    }

    /// Where a path written in `from` leads; None: out of the crate, or to something local.
    fn resolve(&self, from: &Path, path: &[String], seen: &mut HashSet<Path>) -> Option<Found> {
        let mut start = from.clone();
        let mut rest = path;
        let mut relative = false;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "$crate" => start = Path::new(),
                "super" => drop(start.pop()),
                "self" => {}
                _ => break,
            }
            relative = true;
            rest = &rest[1..];
        }
        let found = self.walk(&start, rest, seen);
        if found.is_none() && relative {
            // Made by a macro, or below an item: the module's own file is the nearest that is known.
            let module = self.modules.get(&start)?;
            return Some(Found::Item(module.file));
        }
        found
    }

    fn walk(&self, start: &Path, rest: &[String], seen: &mut HashSet<Path>) -> Option<Found> {
        let Some(name) = rest.first() else {
            return Some(Found::Module(start.clone()));
        };
        let module = self.modules.get(start)?;
        let child = [start.as_slice(), from_ref(name)].concat();
        let is_last = rest.len() == 1;
        if module.children.contains(name) && !(is_last && module.items.contains(name)) {
            if is_last {
                return Some(Found::Module(child));
            }
            return self.walk(&child, &rest[1..], seen).or_else(|| {
                let file = self.modules.get(&child)?.file;
                Some(Found::Item(file))
            });
        }
        if module.items.contains(name) {
            return Some(Found::Item(module.file));
        }
        // A name looked for twice in one module goes round in a circle of globs or re-exports.
        if !seen.insert(child) {
            return None;
        }
        if let Some(target) = module.imports.get(name) {
            return match self.resolve(start, target, seen)? {
                Found::Module(module) => self.walk(&module, &rest[1..], seen),
                item @ Found::Item(_) => Some(item),
            };
        }
        module.globs.iter().find_map(|glob| {
            match self.resolve(start, glob, seen)? {
                Found::Module(module) if module != *start => self.walk(&module, rest, seen),
                // The variants of an enum: the glob itself is the edge.
                _ => None,
            }
        })
    }
}

struct Uses(Vec<Leaf>);

impl<'a> Visit<'a> for Uses {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !is_test(attributes(item)) && !matches!(item, syn::Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        leaves(&item.tree, &Path::new(), &mut self.0);
    }
}

/// One walk over the code of a file, which finds the edges.
struct Walk<'g> {
    graph: &'g Graph,
    tree: &'g mut Tree,
    file: usize,
    module: Path,
}

impl Walk<'_> {
    fn follow(&mut self, path: &[String], line: usize, kind: Via) {
        if path.is_empty() {
            return;
        }
        let found = self.graph.resolve(&self.module, path, &mut HashSet::new());
        let (to, via) = match found {
            Some(Found::Item(file)) => (file, kind),
            Some(Found::Module(module)) => match self.graph.modules.get(&module) {
                Some(module) => (module.file, Via::Module),
                None => return,
            },
            None => {
                self.tree.foreign.push(Foreign {
                    file: self.file,
                    line,
                    path: path.to_vec(),
                });
                return;
            }
        };
        self.edge(to, line, path.join("::"), via);
    }

    fn edge(&mut self, to: usize, line: usize, path: String, via: Via) {
        if to != self.file {
            self.tree.edges.push(Edge {
                from: self.file,
                to,
                line,
                path,
                via,
            });
        }
    }

    fn call(&mut self, method: &str, line: usize) {
        if let Some(stray) = self.graph.strays.get(method) {
            let path = format!(".{method}()");
            self.edge(stray.file, line, path, Via::Method(stray.home));
        }
    }

    /// Paths and calls in the arguments of a macro, which has no syntax before it is expanded.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, c: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let line = first.span().start().line;
                    let mut path = vec![first.to_string()];
                    let after_dot = at > 0 && is(at - 1, '.') && !(at > 1 && is(at - 2, '.'));
                    while is(at + 1, ':')
                        && is(at + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if after_dot {
                        self.call(&path[0], line);
                    } else {
                        self.follow(&path, line, Via::Import);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'a> Visit<'a> for Walk<'_> {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let mut found = Vec::new();
        leaves(&item.tree, &Path::new(), &mut found);
        let via = match item.vis {
            syn::Visibility::Inherited => Via::Import,
            _ => Via::ReExport,
        };
        for leaf in found {
            self.follow(&leaf.path, leaf.line, via);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = names(path);
        let line = path.span().start().line;
        if path.leading_colon.is_none() {
            self.follow(&segments, line, Via::Import);
        }
        if segments.len() > 1 {
            self.call(segments.last().unwrap(), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.call(&call.method.to_string(), call.method.span().start().line);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    // `pub(super)` and `#[derive(...)]` are no imports.
    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}
}
