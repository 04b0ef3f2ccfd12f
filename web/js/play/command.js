/*
 * command.js - sentences that are typed: get lamp, kill troll with lamp, confirm, look.
 */

/**
 * What a sentence asks for: {verb: get|kill|confirm|look|new|help, target, weapon}, or {problem: text}.
 * Verbs and names may be shortened as long as they are clear; names are those of things, which are in sight.
 */
export function parse(sentence, things) {
	const words = sentence.trim().replace(/\s+/g, ' ');
	const [first = ''] = words.split(' ');
	const verbs = { get: 'get', take: 'get', kill: 'kill', fight: 'kill', attack: 'kill', confirm: 'confirm', yes: 'confirm', look: 'look', new: 'new', help: 'help' };
	const matching = [...new Set(Object.keys(verbs).filter(v => v.startsWith(first.toLowerCase())).map(v => verbs[v]))];
	const rest = words.slice(first.length).trim();

	if (words === '')
		return { problem: 'Type what you do: get, kill, confirm or look.' };
	if (matching.length !== 1)
		return { problem: matching.length === 0 ? `"${first}" is nothing that can be done here. There are get, kill, confirm and look.` : `"${first}" may be ${matching.join(' or ')}.` };
	const verb = matching[0];
	if (verb === 'get')
		return rest === '' ? { problem: 'Get what?' } : { verb, target: named(rest, things) };
	if (verb === 'kill') {
		const m = rest.match(/^(.*?)\s+with\s+(.*)$/i);
		if (rest === '')
			return { problem: 'Kill whom, and with what?' };
		return m ? { verb, target: named(m[1], things), weapon: named(m[2], things) } : { verb, target: named(rest, things), weapon: null };
	}
	return { verb };
}

/** The thing that is meant, or the words as they are: then the game says what it thinks of them. */
function named(words, things) {
	const wanted = words.replace(/^the\s+/i, '').toLowerCase();
	const exact = things.find(t => t.toLowerCase() === wanted);
	if (exact)
		return exact;
	const fits = things.filter(t => {
		const parts = t.toLowerCase().split(' ');
		return wanted.split(' ').every(w => parts.some(p => p.startsWith(w)));
	});
	return fits.length === 1 ? fits[0] : words.replace(/^the\s+/i, '');
}
