import { dirname, normalize } from 'node:path/posix';

/** A Markdown file; the path is relative to the root of the project. */
export interface MarkdownPage {
  readonly path: string;
  readonly text: string;
}

/** What a page says outside of code: where Markdown is read as Markdown. */
export function prose(text: string): string {
  return text
    .replace(/^(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1[^\n]*$/gm, '')
    .replace(/(`+)[^\n]*?\1/g, (code) => (code.includes('](') ? '' : code));
}

/** The anchors of a page's headings, as GitHub makes them: an equal one gets `-1`, `-2`, … */
export function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of prose(text).matchAll(/^#+ +(.*)$/gm)) {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    let number = 0;
    while (anchors.has(number === 0 ? anchor : `${anchor}-${number}`)) number += 1;
    anchors.add(number === 0 ? anchor : `${anchor}-${number}`);
  }
  return anchors;
}

/** `page: link` of every link whose file or heading is not there. `read` gives a file's text, '' for a folder, null for nothing. */
export function deadLinks(pages: readonly MarkdownPage[], read: (path: string) => string | null): readonly string[] {
  return pages.flatMap(({ path, text }) =>
    [...prose(text).matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return [];
      const [file = '', fragment] = link.split('#');
      const target = file === '' ? path : normalize(`${dirname(path)}/${file}`);
      const there = read(target);
      const found = there !== null && (fragment === undefined || anchorsOf(there).has(fragment));
      return found ? [] : [`${path}: ${link}`];
    }),
  );
}
