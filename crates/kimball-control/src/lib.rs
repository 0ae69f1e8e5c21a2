//! kimball-control
