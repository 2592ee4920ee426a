"""Sound in and out: decode, cut, write, measure, alter and recognise it."""
