/** A character of a setting for a message: itself where every terminal shows it, else its code point. */
function shownCharacter(character: string): string {
  if (/^[\x20-\x7e]$/.test(character)) return `'${character}'`;
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The first character that `allowed` does not match: `character '@' at position 5`, counted from 1; null when there is none. */
export function strangeCharacter(text: string, allowed: RegExp): string | null {
  let position = 0;
  for (const character of text) {
    position += 1;
    if (!allowed.test(character)) return `character ${shownCharacter(character)} at position ${position}`;
  }
  return null;
}
