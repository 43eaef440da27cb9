//! Measures of one source file: its functions, their length, nesting and parameters.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Smallest flat `match` that counts as a table.
const TABLE_ARMS: usize = 6;

pub(super) struct File {
    /// Path relative to the workspace.
    pub(super) path: PathBuf,
    /// It belongs to tests, benchmarks or fuzz targets.
    pub(super) is_test: bool,
    pub(super) has_header: bool,
    /// Lines without unit tests.
    pub(super) lines: usize,
    pub(super) functions: Vec<Function>,
}

pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    /// Lines of code, flat tables left out.
    pub(super) lines: usize,
    /// Parameters without `self`.
    pub(super) parameters: usize,
    pub(super) bool_parameters: usize,
    /// Deepest control flow.
    pub(super) nesting: usize,
}

pub(super) fn file(root: &Path, path: &Path) -> Result<File, String> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", relative.display());
    let text = std::fs::read_to_string(path).map_err(|error| fail(&error))?;
    text_of(relative, &text).map_err(|error| fail(&error))
}

fn text_of(path: &Path, text: &str) -> Result<File, syn::Error> {
    let parsed = syn::parse_file(text)?;
    let mut visitor = Visitor {
        code: code_lines(text),
        functions: Vec::new(),
        test_lines: 0,
        in_trait_impl: false,
    };
    visitor.visit_file(&parsed);
    let is_test = path
        .iter()
        .any(|part| part == "tests" || part == "tests.rs" || part == "benches");
    Ok(File {
        is_test,
        has_header: text.starts_with("//!"),
        lines: text.lines().count().saturating_sub(visitor.test_lines),
        functions: visitor.functions,
        path: path.to_path_buf(),
    })
}

/// Numbers of the lines that hold code, not only a comment.
fn code_lines(text: &str) -> BTreeSet<usize> {
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| is_code(line))
        .map(|(number, _)| number)
        .collect()
}

struct Visitor {
    code: BTreeSet<usize>,
    functions: Vec<Function>,
    test_lines: usize,
    /// Signatures are the trait's choice there.
    in_trait_impl: bool,
}

impl Visitor {
    fn function(
        &mut self,
        signature: &syn::Signature,
        whole: proc_macro2::Span,
        body: &syn::Block,
    ) {
        let (first, last) = (whole.start().line, whole.end().line);
        let mut flow = Flow::default();
        flow.visit_block(body);
        let tables: usize = flow
            .tables
            .iter()
            .map(|(from, to)| self.code.range(from..to).count())
            .sum();
        let typed = signature.inputs.iter().filter_map(|input| match input {
            syn::FnArg::Typed(typed) => Some(&typed.ty),
            syn::FnArg::Receiver(_) => None,
        });
        let is_bool =
            |ty: &syn::Type| matches!(ty, syn::Type::Path(path) if path.path.is_ident("bool"));
        let bools = typed.clone().filter(|ty| is_bool(ty)).count();
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line: signature.span().start().line,
            lines: self.code.range(first..=last).count().saturating_sub(tables),
            parameters: if self.in_trait_impl { 0 } else { typed.count() },
            bool_parameters: if self.in_trait_impl { 0 } else { bools },
            nesting: flow.deepest,
        });
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if is_test(&module.attrs) {
            let span = module.span();
            self.test_lines += (span.end().line + 1).saturating_sub(span.start().line);
        } else {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.in_trait_impl = item.trait_.is_some();
        visit::visit_item_impl(self, item);
        self.in_trait_impl = false;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, item.span(), &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, item.span(), &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }
}

/// `#[cfg(test)]` or `#[test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = || {
            attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|ident| ident == "test")
        };
        attribute.path().is_ident("test") || (attribute.path().is_ident("cfg") && is_cfg_test())
    })
}

/// Control flow of one body.
#[derive(Default)]
struct Flow {
    depth: usize,
    deepest: usize,
    /// Lines of the arms of flat matches, from the first to before the closing brace.
    tables: Vec<(usize, usize)>,
}

impl Flow {
    fn nested(&mut self, visit: impl FnOnce(&mut Flow)) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        visit(self);
        self.depth -= 1;
    }
}

impl<'ast> Visit<'ast> for Flow {
    /// Functions inside are measured on their own.
    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.nested(|flow| {
            flow.visit_expr(&expr.cond);
            flow.visit_block(&expr.then_branch);
        });
        // `else if` continues the chain on the same level.
        match expr.else_branch.as_ref().map(|(_, branch)| &**branch) {
            Some(syn::Expr::If(chained)) => self.visit_expr_if(chained),
            Some(branch) => self.nested(|flow| flow.visit_expr(branch)),
            None => {}
        }
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        if expr.arms.len() >= TABLE_ARMS && expr.arms.iter().all(is_flat) {
            let from = expr.arms.first().map_or(0, |arm| arm.span().start().line);
            self.tables.push((from, expr.span().end().line.max(from)));
        }
        self.nested(|flow| visit::visit_expr_match(flow, expr));
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.nested(|flow| visit::visit_expr_for_loop(flow, expr));
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        self.nested(|flow| visit::visit_expr_while(flow, expr));
    }

    fn visit_expr_loop(&mut self, expr: &'ast syn::ExprLoop) {
        self.nested(|flow| visit::visit_expr_loop(flow, expr));
    }
}

/// An arm without control flow: an expression, or a block of two statements at most.
fn is_flat(arm: &syn::Arm) -> bool {
    let mut flow = Flow::default();
    flow.visit_expr(&arm.body);
    let is_short = match &*arm.body {
        syn::Expr::Block(block) => block.block.stmts.len() <= 2,
        _ => true,
    };
    flow.deepest == 0 && is_short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(text: &str) -> File {
        text_of(Path::new("a/src/lib.rs"), text).unwrap()
    }

    #[test]
    fn lengths_leave_out_comments_and_blank_lines() {
        let file = measured("//! Idea.\nfn f() {\n    // why\n\n    g();\n}\n");
        assert!(file.has_header && !file.is_test);
        assert_eq!((file.functions[0].lines, file.functions[0].line), (3, 2));
    }

    #[test]
    fn flat_matches_do_not_count_and_others_do() {
        let arms = |arm: &str| {
            let arms: String = (0..10).map(|at| format!("{at} => {arm},\n")).collect();
            measured(&format!(
                "fn f(x: u8) -> u8 {{\nmatch x {{\n{arms}_ => 0,\n}}\n}}\n"
            ))
        };
        assert_eq!(arms("g(x)").functions[0].lines, 4);
        assert_eq!(arms("{ a(); g(x) }").functions[0].lines, 4);
        assert_eq!(arms("if x > 1 { 2 } else { 3 }").functions[0].lines, 15);
    }

    #[test]
    fn nesting_counts_levels_not_chains() {
        let chain = measured("fn f() { if a {} else if b {} else if c {} else if d {} else {} }");
        assert_eq!(chain.functions[0].nesting, 1);
        let deep = measured("fn f() { for _ in a { if b { while c { match d { _ => {} } } } } }");
        assert_eq!(deep.functions[0].nesting, 4);
    }

    #[test]
    fn parameters_of_trait_implementations_are_the_traits_choice() {
        let own = measured("impl A { fn f(&self, a: u8, b: bool) {} }");
        let function = &own.functions[0];
        assert_eq!((function.parameters, function.bool_parameters), (2, 1));
        let foreign = measured("impl T for A { fn f(&self, a: u8, b: bool) {} }");
        assert_eq!(foreign.functions[0].bool_parameters, 0);
    }

    #[test]
    fn unit_tests_are_left_out() {
        let file = measured("fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n");
        assert_eq!((file.lines, file.functions.len()), (1, 1));
    }
}
