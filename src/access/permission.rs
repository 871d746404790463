//! What a known or unknown user may do with the paths of a glob.
