//! What the readers have to say about one file: problems at their places, and notes.

use std::cell::{Cell, RefCell};

use crate::problem::{Problem, ProblemSeverity};
use crate::source_text::{SourceFile, Span};

/// Problems of one file that are kept; nobody reads more, and a hostile file could have millions.
const MAX_PROBLEMS: usize = 100;

/// Collects problems and notes while a file is read; readers share it.
pub(crate) struct Findings<'f> {
    file: &'f SourceFile,
    problems: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<String>>,
    has_errors: Cell<bool>,
    left_out: Cell<usize>,
}

impl<'f> Findings<'f> {
    pub(crate) fn new(file: &'f SourceFile) -> Self {
        Self {
            file,
            problems: RefCell::new(Vec::new()),
            notes: RefCell::new(Vec::new()),
            has_errors: Cell::new(false),
            left_out: Cell::new(0),
        }
    }

    pub(crate) fn file(&self) -> &'f SourceFile {
        self.file
    }

    /// An error at a place of the file.
    pub(crate) fn error(&self, span: Span, message: impl Into<String>) {
        self.add(ProblemSeverity::Error, span, message.into(), None);
    }

    /// An error with a hint at what to do.
    pub(crate) fn error_with_help(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(ProblemSeverity::Error, span, message.into(), Some(help.into()));
    }

    /// An error with what may help, if anything does.
    pub(crate) fn error_with(&self, span: Span, message: impl Into<String>, help: Option<String>) {
        self.add(ProblemSeverity::Error, span, message.into(), help);
    }

    /// A warning at a place of the file.
    pub(crate) fn warning(&self, span: Span, message: impl Into<String>) {
        self.add(ProblemSeverity::Warning, span, message.into(), None);
    }

    /// Something the user may want to know.
    pub(crate) fn note(&self, note: impl Into<String>) {
        let mut notes = self.notes.borrow_mut();
        let note = note.into();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Whether further problems are only counted, so that nothing need be looked up for them.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.borrow().len() >= MAX_PROBLEMS
    }

    /// Whether anything stands against using the file.
    pub(crate) fn has_errors(&self) -> bool {
        self.has_errors.get()
    }

    /// The problems in the order of lines, and the notes.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<String>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.location.as_ref().map(|at| (at.line, at.column)));
        let left_out = self.left_out.get();
        if left_out > 0 {
            let message = format!("{left_out} more problems are not shown");
            problems.push(Problem::error(message).in_file(self.file.path()));
        }
        (problems, self.notes.into_inner())
    }

    fn add(&self, severity: ProblemSeverity, span: Span, message: String, help: Option<String>) {
        if severity == ProblemSeverity::Error {
            self.has_errors.set(true);
        }
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= MAX_PROBLEMS {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        let location = self.file.locate(span);
        let problem = Problem {
            severity,
            file: Some(self.file.path().to_path_buf()),
            location: Some(location),
            message,
            help,
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}
