//! Parquet that is written: a block of rows makes a group of columns.
//!
//! Vectors are split by bytes (`BYTE_STREAM_SPLIT`), which is what Zstandard gets anything out of; the words that
//! say so to Arrow stand in the file's metadata.

use crate::embeddings::exchange::batch::{self, Block};
use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::{Output, Record, Sink, Texts, WriteOptions, cells, framing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// How many bytes make a group of rows.
const GROUP: usize = 32 << 20;

/// A file that is written. Its head waits for the first vector, whose length it says.
pub(super) struct ParquetSink {
    output: Option<Output>,
    writer: Option<SerializedFileWriter<Output>>,
    block: Block,
    texts: Texts,
    dimensions: Option<usize>,
}

impl ParquetSink {
    pub(super) fn new(output: Output, options: &WriteOptions) -> Self {
        Self {
            output: Some(output),
            writer: None,
            block: Block::new(options.texts, GROUP),
            texts: options.texts,
            dimensions: options.dimensions,
        }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if let Some(output) = self.output.take() {
            let dimensions = self.dimensions.unwrap_or(0);
            self.writer = Some(begin(output, self.texts, dimensions)?);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        if !self.block.vectors.is_empty() {
            write_group(writer, &self.block)?;
        }
        self.block.clear();
        Ok(())
    }
}

fn written(error: ParquetError) -> Fault {
    match error {
        ParquetError::External(error) => Fault::writing(std::io::Error::other(error)),
        other => Fault::Broken(format!("the Parquet file cannot be written: {other}")),
    }
}

fn begin(
    output: Output,
    texts: Texts,
    dimensions: usize,
) -> Result<SerializedFileWriter<Output>, Fault> {
    let kind = |name: &str| match name {
        "id" => "REQUIRED BYTE_ARRAY id (STRING);".to_owned(),
        "embedding" => {
            "OPTIONAL GROUP embedding (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }"
                .to_owned()
        }
        text => format!("OPTIONAL BYTE_ARRAY {text} (STRING);"),
    };
    let columns: String = cells::columns(texts).into_iter().map(kind).collect();
    let schema =
        parse_message_type(&format!("message records {{ {columns} }}")).map_err(written)?;
    let path = ColumnPath::from(["embedding", "list", "element"].map(str::to_owned).to_vec());
    // Other readers see lists of one length by this.
    let arrow = STANDARD.encode(framing::schema_message(texts, dimensions));
    let properties = WriterProperties::builder()
        .set_created_by(concat!("promptgate ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false)
        .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
        .set_key_value_metadata(Some(vec![KeyValue::new("ARROW:schema".to_owned(), arrow)]))
        .build();
    SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties)).map_err(written)
}

fn write_group(writer: &mut SerializedFileWriter<Output>, block: &Block) -> Result<(), Fault> {
    let mut group = writer.next_row_group().map_err(written)?;
    for (place, column) in block.columns.iter().enumerate() {
        let texts = column.iter().flatten();
        let texts: Vec<ByteArray> = texts.map(|text| ByteArray::from(text.as_str())).collect();
        let levels: Vec<i16> = column
            .iter()
            .map(|cell| i16::from(cell.is_some()))
            .collect();
        // The first is the id, which every row has.
        let levels = (0 < place).then_some(levels.as_slice());
        write_column::<ByteArrayType>(&mut group, &texts, levels, None)?;
    }
    let (mut values, mut levels, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for vector in &block.vectors {
        let Some(vector) = vector else {
            levels.push(0);
            starts.push(0);
            continue;
        };
        values.extend(vector);
        levels.extend(vector.iter().map(|_| 2_i16));
        starts.extend((0..vector.len()).map(|place| i16::from(0 < place)));
    }
    write_column::<FloatType>(&mut group, &values, Some(&levels), Some(&starts))?;
    group.close().map_err(written)?;
    Ok(())
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Output>,
    values: &[T::T],
    levels: Option<&[i16]>,
    starts: Option<&[i16]>,
) -> Result<(), Fault> {
    let column = group.next_column().map_err(written)?;
    let mut column = column.ok_or_else(|| Fault::broken("the schema has too few columns"))?;
    let typed = column.typed::<T>();
    typed.write_batch(values, levels, starts).map_err(written)?;
    column.close().map_err(written)
}

impl Sink for ParquetSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        batch::learn_length(&mut self.dimensions, record, self.writer.is_some())?;
        if self.block.push(record)? {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.flush()?;
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let mut output = writer.into_inner().map_err(written)?;
        std::io::Write::flush(&mut output).map_err(Fault::writing)
    }
}
