//! How far a long command is: a bar at a terminal, else a line for every tenth.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::options::Format;
use crate::output;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Bar,
    Lines,
    Silent,
}

impl Manner {
    pub(crate) fn of(cx: &Context) -> Self {
        if cx.options.quiet {
            Self::Silent
        } else if cx.format() == Format::Table && std::io::stderr().is_terminal() {
            Self::Bar
        } else {
            Self::Lines
        }
    }
}

pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, total: u64, tenths: u64 },
    Silent,
}

impl Progress {
    pub(crate) fn start(cx: &Context, what: &'static str, total: u64) -> Self {
        Self::shown(Manner::of(cx), what, total)
    }

    pub(crate) fn shown(manner: Manner, what: &'static str, total: u64) -> Self {
        match manner {
            _ if total == 0 => Self::Silent,
            Manner::Silent => Self::Silent,
            Manner::Lines => Self::Lines { what, total, tenths: 0 },
            Manner::Bar => {
                let bar = ProgressBar::new(total).with_message(what);
                let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}, {eta} left");
                Self::Bar(match style {
                    Ok(style) => bar.with_style(style),
                    Err(_) => bar,
                })
            }
        }
    }

    pub(crate) fn at(&mut self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines { what, total, tenths } if done * 10 / *total > *tenths => {
                *tenths = done * 10 / *total;
                output::remark(&format!("{what}: {} % ({done} of {total})", *tenths * 10));
            }
            Self::Lines { .. } | Self::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
