/*
 * code.js - statements and sources with colours, line numbers, and the lines that wait.
 */
import { h, icon } from './dom.js';
import { copy } from './shell.js';

const KEYWORDS = new Set(('select from where and or not null is in as on join left group order by limit insert into values update set delete returning declare begin end if then '
	+ 'else elsif loop while for foreach exit continue when return returns raise exception perform execute case using true false language create function replace '
	+ 'array strict call with desc asc next query found').split(' '));

/** The text as spans: keywords, strings, comments, calls. */
export function colour(text) {
	const parts = [];
	const pattern = /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*'?)|([A-Za-z_][\w$.]*)(?=\s*\()|([A-Za-z_][\w$]*)|([\s\S])/g;
	let plain = '';
	const flush = () => { if (plain) parts.push(plain); plain = ''; };
	for (const m of text.matchAll(pattern)) {
		const word = (m[3] ?? m[4])?.toLowerCase();
		const kind = m[1] ? 'com' : m[2] ? 'str' : word && KEYWORDS.has(word) ? 'kw' : m[3] ? 'fn' : null;
		if (!kind) {
			plain += m[0];
			continue;
		}
		flush();
		parts.push(h('span', { class: kind }, m[0]));
	}
	flush();
	return parts;
}

/** A statement that can be copied. */
export function statement(text, { name = 'the statement', plain = false } = {}) {
	return h('div', { class: 'sql' }, h('pre', {}, h('code', {}, plain ? text : colour(text))),
		h('button', { class: 'quiet tiny', type: 'button', 'aria-label': `Copy ${name}`, title: `Copy ${name}`, onclick: () => copy(text, 'Copied.') }, icon('copy')));
}

/**
 * A source.  Lines are numbered as PL/pgSQL numbers them; those in lines are lit, and say so in words.
 */
export function source(text, lines, label) {
	const lit = new Set(lines);
	const all = text.split('\n');
	while (all.length && all.at(-1).trim() === '')
		all.pop();
	// colours may span lines, so the whole is coloured and then cut
	const rows = [[]];
	for (const piece of colour(all.join('\n'))) {
		const kind = typeof piece === 'string' ? null : piece.className;
		(kind ? piece.textContent : piece).split('\n').forEach((line, i) => {
			if (i > 0)
				rows.push([]);
			if (line)
				rows.at(-1).push(kind ? h('span', { class: kind }, line) : line);
		});
	}
	const list = h('ol');
	rows.forEach((pieces, i) => {
		const number = i + 1;
		if (number === 1 && pieces.length === 0)
			return;
		list.append(h('li', { class: lit.has(number) ? 'lit' : null, data: { line: number } },
			h('i', { 'aria-hidden': 'true' }, String(number)), h('span', {}, pieces.length ? pieces : ' '),
			lit.has(number) ? h('span', { class: 'here' }, 'waits here') : null));
	});
	return h('div', { class: 'code', tabindex: '0', role: 'region', 'aria-label': label }, list);
}

/** Lights other lines of a source that is shown already, and scrolls within it to the first. */
export function relight(element, lines) {
	const lit = new Set(lines);
	let first = null;
	for (const li of element.querySelectorAll('li')) {
		const on = lit.has(Number(li.dataset.line));
		if (on && !li.classList.contains('lit')) {
			li.classList.add('lit');
			li.append(h('span', { class: 'here' }, 'waits here'));
		} else if (!on && li.classList.contains('lit')) {
			li.classList.remove('lit');
			li.querySelector('.here')?.remove();
		}
		if (on)
			first ??= li;
	}
	if (first)
		element.scrollTop = Math.max(0, first.offsetTop - element.clientHeight / 3);
}

