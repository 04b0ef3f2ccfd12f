/*
 * game.js - one game: asks for its state, and lets the parts of the page draw it.
 *
 * Everything that is shown comes from three routes (GameStatus, Workflows, Timeline) and from the lines of the console,
 * so two tabs, a spectator and the terminal see the same.  A line of the console is the sign that something changed.
 */
import { find, h, icon, put, say, statusBadge } from '../dom.js';
import { connection, events, get, HttpError, look, part, poll, post, url } from '../http.js';
import { clock, compute, duration, literal } from '../format.js';
import { complain, copy, dialog, toast } from '../shell.js';
import { parse } from './command.js';
import { makeBehind } from './behind.js';
import { makeCards } from './cards.js';
import { makeScene } from './scene.js';
import { makeStory } from './story.js';

const PHASES = {
	making: ['Pending', 'being made'], gate: ['Suspended', 'at the gate'], entering: ['Running', 'on the ladder'], room: ['Running', 'in the dungeon'],
	won: ['Completed', 'has won'], dead: ['Failed', 'dead'], unknown: ['none', 'nobody of that name']
};

export function game(name, watching) {
	const state = { name, watching, status: null, flows: [], timeLeftMs: null, phase: 'making', offset: 0, settled: false };
	const story = makeStory(find('#story'));
	const cards = makeCards(find('#flows'));
	const behind = makeBehind();
	const scene = makeScene(find('#scene'), { act, name, watching });
	let known = false;

	document.title = `${name} - Durable Dungeon`;
	say(find('#player-name'), name);
	find('#watching').hidden = !watching;
	find('#command-form').hidden = watching;
	find('#another').textContent = watching ? 'Play yourself' : 'New game';

	/* --- asking ---------------------------------------------------------------------------------------------------- */

	const asking = poll(refresh, 5000);
	let soon = null;
	const lookSoon = () => {
		clearTimeout(soon);
		asking.now();
		soon = setTimeout(asking.now, 700);
	};

	async function refresh() {
		try {
			const [status, flows] = await Promise.all([
				get(`/api/GameStatus/${part(name)}`).catch(error => { if (error.status === 400) return null; throw error; }),
				get(`/api/Workflows/${part(name)}`)
			]);
			state.status = status;
			state.offset = Date.parse(flows.now) - Date.now();
			behind.turns(state.flows, flows.workflows);
			const changed = JSON.stringify(flows.workflows.map(f => [f.turns, f.status])) !== JSON.stringify(state.flows.map(f => [f.turns, f.status]));
			state.flows = flows.workflows;
			state.timeLeftMs = flows.timeLeftMs;
			state.readAt = Date.now();
			known ||= state.flows.some(f => f.instanceId);
			state.phase = phase(state, known);
			draw();
			if (changed)
				behind.timeline(await get(`/api/Timeline/${part(name)}`));
		} catch (error) {
			if (!(error instanceof HttpError))
				throw error;
			if (!error.isGone)
				complain(error);
		}
	}

	get(`/api/Console?player=${part(name)}`).then(({ lines }) => {
		story.begin(lines);
		follow(lines.at(-1)?.id ?? null);
	}, error => {
		complain(error);
		follow(null);
	});

	function follow(after) {
		// The console's events are filtered by the gateway; without an id all of this player's come that are new.
		events('/events', { player: name, after }, line => {
			story.add(line);
			lookSoon();
		}, last => get(url('/api/Console', { player: name, after: last ?? 0 })).then(answer => answer.lines));
	}
	connection.addEventListener('down', () => { find('#live').textContent = 'waiting for the server'; });
	connection.addEventListener('up', () => { find('#live').textContent = 'live'; lookSoon(); });

	/* --- drawing --------------------------------------------------------------------------------------------------- */

	function draw() {
		const [kind, words] = PHASES[state.phase];
		const badge = statusBadge(kind, words);
		const now = find('#phase');
		if (now.textContent !== words) {
			badge.id = 'phase';
			now.replaceWith(badge);
		}
		scene.draw(state);
		cards.draw(state);
		tick();
	}

	function tick() {
		const now = Date.now() + state.offset;
		const begun = Date.parse(state.flows[0]?.created ?? '');
		const total = state.flows.reduce((sum, f) => sum + (f.computeMs ?? 0), 0);
		const turns = state.flows.reduce((sum, f) => sum + (f.turns ?? 0), 0);
		const end = endOf(state);
		const time = Number.isNaN(begun) ? 0 : Math.max(0, (end ?? now) - begun);
		say(find('#clock-game'), clock(Math.max(0, time - 999)));
		say(find('#clock-compute'), compute(total));
		say(find('#clock-turns'), turns);
		say(find('#ratio'), time < 1000 ? '' : `${duration(time)} of play, ${compute(total)} of computing. ${end ? 'Most of the time the workflows were rows in tables.' : 'All other time the workflows are rows in tables.'}`);
		scene.tick(state, now);
		cards.tick(now);
	}
	setInterval(() => { if (!document.hidden && state.flows.length) tick(); }, 250);

	/* --- doing ----------------------------------------------------------------------------------------------------- */

	async function act(action) {
		const answer = find('#answer');
		answer.className = 'answer';
		say(answer, '');
		try {
			if (action.verb === 'confirm') {
				behind.click(`SELECT * FROM dd_confirm(${literal(name)});`, 'raises the event ApprovalTask');
				await post('/api/ConfirmUser', { name });
			} else {
				behind.click(`SELECT * FROM dd_action(${[name, action.verb, action.target].map(literal).join(', ')}${action.weapon ? `, ${literal(action.weapon)}` : ''});`);
				await post('/api/Action', { name, action: action.verb, target: action.target, with: action.weapon ?? undefined });
			}
			lookSoon();
		} catch (error) {
			if (error.isGone)
				say(answer, 'The server is away; it is not known whether that was done. Try it again when it is back.');
			else
				say(answer, error.message);
			answer.classList.add('bad');
			asking.now();
		}
	}

	find('#command-form').addEventListener('submit', event => {
		event.preventDefault();
		const field = find('#command');
		const asked = parse(field.value, scene.names());
		const answer = find('#answer');
		answer.className = 'answer';
		if (asked.problem) {
			answer.classList.add('bad');
			say(answer, asked.problem);
			return;
		}
		field.value = '';
		if (asked.verb === 'new')
			location.href = '/play?new';
		else if (asked.verb === 'help')
			say(answer, 'get THING · kill MONSTER with THING · confirm · look · new. Names may be shortened.');
		else if (asked.verb === 'look')
			say(answer, scene.words(state));
		else
			act(asked);
	});

	document.addEventListener('keydown', event => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog'))
			return;
		if (event.key >= '1' && event.key <= '9')
			scene.press(Number(event.key));
		else if (event.key === 'c')
			cards.allCode();
	});

	/* --- the buttons of the bar -------------------------------------------------------------------------------------- */

	find('#spectate').addEventListener('click', () => copy(`${location.origin}/play?watch=${encodeURIComponent(name)}`, 'The link is copied. Who opens it sees the game live.'));
	find('#show-sql').addEventListener('change', event => behind.sql(event.target.checked));
	find('#linear').addEventListener('change', event => behind.compressed(!event.target.checked));

	// The route is there only when the gateway was started with --crash-command.
	get('/crash').then(() => {
		const button = find('#crash');
		put(button, icon('bolt'), 'Crash the server');
		button.hidden = watching;
		button.addEventListener('click', () => dialog({
			title: 'Crash the server?',
			content: () => h('div', {}, h('p', {}, 'The database server is stopped as kill -9 or a power cut would stop it, and started again. Everybody who plays on it has to wait for some seconds.'),
				h('p', { class: 'soft' }, 'Your timers run on meanwhile, because they are times in a table.')),
			buttons: h('button', { class: 'danger sure', type: 'submit' }, icon('bolt'), 'Crash it'),
			submit: async () => {
				await post('/crash');
				behind.note('The server is killed, and started again. What was committed is there.');
				toast('The server is going down.');
				for (let i = 1; i <= 12; i++)
					setTimeout(look, i * 250);
			}
		}));
	}, () => {});
}

function phase(state, known) {
	const flow = workflow => state.flows.find(f => f.workflow === workflow);
	const { status } = state;
	if (!known && !status)
		return 'unknown';
	if (status?.user && status.user.isAlive === false)
		return 'dead';
	if (flow('GameMonitorWorkflow')?.status === 'Completed')
		return 'won';
	if (flow('UserConfirmationWorkflow')?.waits.some(w => w.kind === 'event'))
		return 'gate';
	if (status?.user?.currentRoom)
		return 'room';
	return flow('UserConfirmationWorkflow')?.status === 'Completed' ? 'entering' : 'making';
}

/** When the game was over, or null. */
function endOf(state) {
	if (state.phase !== 'won' && state.phase !== 'dead')
		return null;
	const flow = state.flows.find(f => f.workflow === (state.phase === 'won' ? 'GameMonitorWorkflow' : 'UserConfirmationWorkflow'));
	return flow?.ended ? Date.parse(flow.ended) : null;
}

