//! Many records as JSON, written as they come: a line each; or one array, which is what `--format json` means for
//! data that goes to standard output. A file has lines, whatever the command itself says in.

use std::path::Path;

use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::plugin::Failure;

pub(super) enum Records {
    Lines,
    Array { is_begun: bool },
}

impl Records {
    /// For what goes to `path`, as [`Sink::open`](super::sink::Sink::open) has it.
    pub(super) fn to(cx: &Context, path: &Path) -> Self {
        match (cx.format(), path.as_os_str() == "-") {
            (Format::Json, true) => Self::Array { is_begun: false },
            _ => Self::Lines,
        }
    }

    /// The next ones.
    pub(super) fn text<T: Serialize>(&mut self, records: &[T]) -> Result<String, Failure> {
        let mut text = String::new();
        for record in records {
            let record = serde_json::to_string(record)
                .map_err(|error| Failure::new(Exit::Failed, format!("can't write a record: {error}")))?;
            match self {
                Self::Lines => text.extend([&*record, "\n"]),
                Self::Array { is_begun } => {
                    text.extend([if *is_begun { ",\n" } else { "[\n" }, &*record]);
                    *is_begun = true;
                }
            }
        }
        Ok(text)
    }

    /// What comes behind the last.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Lines => "",
            Self::Array { is_begun: false } => "[]\n",
            Self::Array { is_begun: true } => "\n]\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut records: Records, batches: &[&[u32]]) -> String {
        let texts: Vec<_> = batches.iter().map(|batch| records.text(batch).unwrap()).collect();
        texts.concat() + records.end()
    }

    #[test]
    fn an_array_is_one_document_however_many_parts_it_comes_in() {
        for (batches, all) in
            [(&[&[1, 2][..], &[], &[3]][..], vec![1, 2, 3]), (&[&[1]], vec![1]), (&[&[]], vec![]), (&[], vec![])]
        {
            let text = written(Records::Array { is_begun: false }, batches);
            assert_eq!(serde_json::from_str::<Vec<u32>>(&text).unwrap(), all, "{text}");
            let lines: String = all.iter().map(|number| format!("{number}\n")).collect();
            assert_eq!(written(Records::Lines, batches), lines);
        }
    }
}
