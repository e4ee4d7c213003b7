//! Every background job, one file each.
