/** JSON that is valid and odd: each must leave as it came. */
export const SOUND: Readonly<Record<string, string>> = {
  "numbers JavaScript has no room for":
    '{"id":9007199254740993,"f":1.0,"e":1e400,"z":-0,"x":1E5,"h":0.1000000000000000055511151231257827}',
  "repeated and inherited names":
    '{"dup":1,"dup":2,"__proto__":{"polluted":true},"constructor":1,"toString":null,"data":3,"":0,"d\\u0061ta":4}',
  "awkward characters":
    '{"a":"\u2028\u2029\uFEFF\u00e9\u{1f600}\u007f\u0085\'<>&\uFFFD\uFFFF e\u0301","\u2028":"k"}',
  "awkward escapes":
    '{"a":"\\u2028\\u0000\\ud83d\\ude00\\/\\"\\\\\\b\\u005c\\u0022}","\\u0061\\n":"\\u00e9"}',
  "white space": '{"a" :\t[ 1 ,\n\r 2.50 ] , "b":{ } }',
  "a deep one": `${'{"a":['.repeat(45)}1.0${"]}".repeat(45)}`,
  "a big integer alone": "12345678901234567890123",
  "a float alone": "1e400",
  "a string alone": '"\\u0041\\/ \\"quoted\\" \u2028"',
  false: "false",
  "nothing in brackets": "[ ]",
};

/** JSON that other languages refuse, or that their parsers recurse into: refused, or carried as it is, never changed. */
export const UNSOUND: Readonly<Record<string, string>> = {
  "half a surrogate pair": '{"a":"\\ud800"}',
  "the other half": '["\\udc00\\ud83d"]',
  "too deep": `${"[".repeat(101)}${"]".repeat(101)}`,
};

/** All of them at once, for where each try takes long. */
export const TOGETHER = {
  sound: {
    "all that is sound, in one": `[${Object.values(SOUND).join(" ,")}]`,
    "a string alone": SOUND["a string alone"]!,
  },
  unsound: { "half a surrogate pair": UNSOUND["half a surrogate pair"]!, "too deep": UNSOUND["too deep"]! },
};

/** As it is to arrive: raw line ends, which can only be white space, end frames, and so become spaces. */
export const arriving = (document: string) => document.replace(/[\r\n]/g, " ");
