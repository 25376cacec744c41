// Character classes for the pre-tokenizers, from utf8proc's categories, as the two-stage table of
// base/tokenizer.h. The runtime has no Unicode data but this.
#include <string.h>
#include <utf8proc.h>

#include "frontend/tokenizer_internal.h"

static hone_class_t class_of(int32_t code) {
  // \s is White_Space: the separators and a few controls.
  if ((code >= 9 && code <= 13) || code == 0x85) return HONE_CLASS_SPACE;
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return HONE_CLASS_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return HONE_CLASS_NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return HONE_CLASS_SPACE;
    default: return HONE_CLASS_OTHER;
  }
}

void hone_unicode_classes(uint8_t index[HONE_CLASS_BLOCKS], hone_buffer_t *out_blocks) {
  for (int32_t block = 0; block < HONE_CLASS_BLOCKS; block++) {
    uint8_t bits[HONE_CLASS_BLOCK_BYTES] = {0};
    for (int32_t i = 0; i < 256; i++) {
      bits[i / 4] |= (uint8_t)(class_of(block * 256 + i) << (i % 4 * 2));
    }
    size_t count = out_blocks->bytes / HONE_CLASS_BLOCK_BYTES, same = 0;
    while (same < count && memcmp(out_blocks->data + same * HONE_CLASS_BLOCK_BYTES, bits,
                                  HONE_CLASS_BLOCK_BYTES) != 0) {
      same++;
    }
    if (same == count) hone_buffer_add(out_blocks, bits, sizeof bits);
    index[block] = (uint8_t)same;  // Unicode has far fewer than 256 different blocks
  }
}
