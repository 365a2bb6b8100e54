//! The types that keep masks honest: a pad masks one message, and only what a pad has masked can be sent.

use crate::{device::Buffer, stream::Stream};

/// A keystream that no other message has used or will use. Only an op makes one (`party::Op::pad`), it cannot be
/// copied, and it is consumed by the one message that it masks.
#[derive(Debug)]
pub struct Pad(Stream);

impl Pad {
    /// For the op alone, which guarantees that the stream is fresh.
    pub(crate) fn fresh(stream: Stream) -> Self {
        Self(stream)
    }

    /// For kernels: the mask of one message, or a component that was never sent.
    pub(super) fn consume(self) -> Stream {
        self.0
    }
}

/// A value that may be sent: it was made by a kernel that added a pad to it.
#[derive(Debug)]
pub struct Masked(Buffer);

impl Masked {
    /// For kernels: words that a pad (or a zero share) has been added to.
    pub(super) fn by_kernel(buffer: Buffer) -> Self {
        Self(buffer)
    }

    /// A local product: it carries its zero share from birth.
    pub(crate) fn local_product(z: Buffer) -> Self {
        Self(z)
    }

    /// A component of a share, for an opening: its receiver is meant to learn it.
    pub(crate) fn component(x: Buffer) -> Self {
        Self(x)
    }

    /// For resharing protocols: what goes on the wire, which the sender also knows.
    pub(crate) fn words(&self) -> &Buffer {
        &self.0
    }
}
