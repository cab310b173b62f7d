//! How far a long command is: a bar at a terminal, else a line for every tenth.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::options::Format;
use crate::output;

pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, total: u64, tenths: u64 },
    Silent,
}

impl Progress {
    pub(crate) fn start(cx: &Context, what: &'static str, total: u64) -> Self {
        if cx.options.quiet || total == 0 {
            return Self::Silent;
        }
        if cx.format() != Format::Table || !std::io::stderr().is_terminal() {
            return Self::Lines { what, total, tenths: 0 };
        }
        let bar = ProgressBar::new(total).with_message(what);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}, {eta} left");
        Self::Bar(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
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
