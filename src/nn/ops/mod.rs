//! The operations of a graph and the actions of a program: one file each, listed here and nowhere else.
//!
//! A file says all of its operation from top to bottom: formula and source, shape rule, reference, how passes may treat it, bounds,
//! run on shares, how ONNX writes it. `operation` has what each must say.

mod affine;
mod arithmetic;
mod average_pool;
mod bound;
mod clip;
mod combine;
mod concat;
mod conv;
mod expand;
mod gate;
mod gather;
mod interval;
mod matmul;
mod max_pool;
mod multiply;
#[cfg(feature = "onnx")]
mod onnx;
mod operation;
mod product;
mod reduce;
mod relu;
mod reshape;
mod sum;
mod sum_pool;
mod tile;

#[cfg(feature = "onnx")]
pub use onnx::{Attribute, Names, Writer};

pub use affine::Affine;
pub use average_pool::AveragePool;
pub use bound::Bound;
pub use clip::Clip;
pub use combine::Combine;
pub use concat::Concat;
pub use conv::Conv;
pub use expand::Expand;
pub use gate::Gate;
pub use gather::Gather;
pub use interval::{CAP, Interval, Intervals};
pub use matmul::MatMul;
pub use max_pool::MaxPool;
pub use multiply::Multiply;
pub use operation::{Action, Bits, Bounded, Constants, Float, Joins, Narrow, Operation, Own, Running, Word64};
pub use product::{Addend, Form, Product};
pub use reduce::{Reduce, Reduction};
pub use relu::Relu;
pub use reshape::Reshape;
pub use sum::{Sum, runs};
pub use sum_pool::{MOST_HALVINGS, SumPool};
pub use tile::Tile;

use crate::{Result, nn::value::Value, shape::Shape};
use std::sync::Arc;

/// A closed list of types that share a trait: an enum, a conversion from each, and the trait's object.
macro_rules! closed {
    ($(#[$doc:meta])* $name:ident: $object:ident { $($(#[$text:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        pub enum $name {
            $($(#[$text])* $variant($variant)),+
        }

        $(impl From<$variant> for $name {
            fn from(one: $variant) -> Self {
                Self::$variant(one)
            }
        })+

        impl std::ops::Deref for $name {
            type Target = dyn $object;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$variant(one) => one),+
                }
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $(Self::$variant(one) => one),+
                }
            }
        }
    };
}

closed! {
    /// One operation of a graph. Extents of activations are without the batch, which is always the first.
    #[derive(Debug, Clone, PartialEq)]
    Op: Operation {
        /// Convolution of images with weights, and a bias or none.
        Conv,
        /// Product of matrices, and a bias or none.
        MatMul,
        /// Product element by element.
        Multiply,
        /// Sum with public factors and a constant.
        Sum,
        /// Secret factor and addend of each channel.
        Affine,
        /// `max(x, 0)`.
        Relu,
        /// Bounds.
        Clip,
        /// Maximum of windows.
        MaxPool,
        /// Mean of windows.
        AveragePool,
        /// Sum of windows.
        SumPool,
        /// Values one after another.
        Concat,
        /// Elements by their indices.
        Gather,
        /// Other extents.
        Reshape,
        /// Copies side by side.
        Tile,
        /// Copies along axes of one element.
        Expand,
        /// Sum, mean or maximum along axes.
        Reduce,
        /// One value where another is not negative.
        Gate,
    }
}

closed! {
    /// One action of a program's step.
    #[derive(Debug, Clone, PartialEq)]
    #[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
    Step: Action {
        /// A product and all that belongs to it before its truncation.
        Product,
        /// A sum with public words.
        Combine,
        /// A ReLU, or bounds.
        Bound,
        /// Maximum of windows.
        MaxPool,
        /// Sum of windows.
        SumPool,
        /// Values one after another.
        Concat,
        /// Elements by their indices.
        Gather,
        /// Other extents.
        Reshape,
        /// One value where another is not negative.
        Gate,
    }
}

/// How an operation runs.
#[derive(Debug)]
pub enum Lowered {
    /// As a product of its first two inputs; a third is a bias.
    Form(Form),
    /// As part of a product, or as what [`Operation::joins`] says.
    Joins,
    /// As it stands.
    Step(Step),
    /// Not at all: a pass has replaced it.
    Replaced,
}

/// An operation written by others, each of which reads what the one before makes.
#[derive(Debug)]
pub struct Expansion {
    /// In order. The first reads the first input.
    pub chain: Vec<Op>,
    /// The one that takes the name, and reads the further inputs.
    pub main: usize,
    /// Shapes that the further inputs, which are constants, have for it.
    pub constants: Vec<Shape>,
}

impl Op {
    /// How it runs.
    pub fn lowered(&self) -> Lowered {
        match self {
            Self::Conv(op) => Lowered::Form(Form::Conv(*op)),
            Self::MatMul(op) => Lowered::Form(Form::MatMul(*op)),
            Self::Multiply(op) => Lowered::Form(Form::Multiply(*op)),
            Self::Sum(_) | Self::Relu(_) | Self::Clip(_) => Lowered::Joins,
            Self::MaxPool(op) => Lowered::Step((*op).into()),
            Self::SumPool(op) => Lowered::Step((*op).into()),
            Self::Concat(op) => Lowered::Step((*op).into()),
            Self::Gather(op) => Lowered::Step(op.clone().into()),
            Self::Reshape(op) => Lowered::Step(op.clone().into()),
            Self::Gate(op) => Lowered::Step((*op).into()),
            Self::Affine(_) | Self::AveragePool(_) | Self::Tile(_) | Self::Expand(_) | Self::Reduce(_) => Lowered::Replaced,
        }
    }

    /// The operations that stand for it where it cannot run as it is.
    pub fn expansion(&self, inputs: &[Value]) -> Result<Option<Expansion>> {
        match self {
            Self::Affine(op) => {
                let (count, shift) = (inputs[1].shape.elements(), inputs[2].shape.elements());
                let depthwise = op.depthwise(&inputs[0], count)?;
                let main = usize::from(depthwise.before.is_some());
                let chain = [depthwise.before.map(Op::from), Some(depthwise.conv.into()), depthwise.after.map(Op::from)];
                let constants = vec![depthwise.weights, Shape::new([shift])?];
                Ok(Some(Expansion { chain: chain.into_iter().flatten().collect(), main, constants }))
            }
            Self::AveragePool(op) => {
                let halvings = op.taps().trailing_zeros().min(MOST_HALVINGS);
                let rest = op.taps() >> halvings;
                let scaled = (rest > 1).then(|| Sum::scaled(1.0 / rest as f32).into());
                let chain = [Some(SumPool { axes: op.axes, halvings }.into()), scaled].into_iter().flatten().collect();
                Ok(Some(Expansion { chain, main: 0, constants: Vec::new() }))
            }
            Self::Reduce(op) => {
                let (rows, axes) = op.rows(&inputs[0]);
                let pool = match op.reduction {
                    Reduction::Sum => SumPool { axes, halvings: 0 }.into(),
                    Reduction::Mean => AveragePool { axes }.into(),
                    Reduction::Max => MaxPool { axes }.into(),
                };
                let to = op.output(inputs)?.item().to_vec();
                Ok(Some(Expansion { chain: vec![rows.into(), pool, Self::reshape(to)], main: 1, constants: Vec::new() }))
            }
            _ => Ok(None),
        }
    }

    /// Elements by their indices: what any layout operation is.
    pub fn gather(extents: Vec<usize>, indices: Arc<[u32]>) -> Self {
        Gather { extents, indices }.into()
    }

    /// The same elements in other extents.
    pub fn reshape(extents: Vec<usize>) -> Self {
        Reshape { extents }.into()
    }
}
