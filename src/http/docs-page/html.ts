/** HTML text that is put together of parts: what is not markup already is escaped. */

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | undefined | readonly Part[];

/** Nothing for undefined; lists one after the other. */
export function html(markup: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(markup.map((text, at) => text + toText(parts[at])).join(''));
}

function toText(part: Part): string {
  if (part === undefined) return '';
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(toText).join('');
  return escapeText(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

/** The little of CommonMark that descriptions use: paragraphs, lists, code. */
export function prose(text: string | undefined): Html {
  const blocks = (text ?? '').split(/\n\n|\n(?=- )|(?<=^- .*)\n(?!- )/m).filter((block) => block !== '');
  const groups = blocks.map((block) =>
    block.startsWith('- ') ? html`<li>${inline(block.slice(2))}</li>` : html`<p>${inline(block)}</p>`,
  );
  return new Html(html`${groups}`.text.replace(/(?:<li>.*?<\/li>)+/gs, (items) => `<ul>${items}</ul>`));
}

/** A line of text with code in it. */
export function inline(text: string): Html {
  const parts = text.split('`');
  return html`${parts.map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}
