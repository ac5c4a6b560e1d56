# SPDX-License-Identifier: MIT
# How Doxygen reads our headers; lines stay where they are.
# The comment on top is about the file.
1s,^// SPDX-.*,/// \\file,
# A word in front of a column is an item of a list: "/// Cost       one copy of x per push".
s,^\( *///\) \([A-Z][a-z]*\)   *\([^ ]\),\1 - **\2** \3,
s,^\( *///\) \(`[^`]*`\)   *\([^ ]\),\1 - \2 \3,
