/*
 * app: the frame around the views: login, the overview that everything is painted from, the stream of events, navigation,
 * and how old what is shown is. Without the secret nothing is asked and nothing shown; Lock leaves nothing behind.
 */
import { Api, session } from './api.js';
import { el, clear, fmt, setText } from './dom.js';
import { themeButton } from './theme.js';

const OVERVIEW = '/api/internal/overview';
const READ_EVERY_MS = 30000;
const READ_APART_MS = 2000;	/* however many events come */
const OLD_MS = 60000;
const TOAST_MS = 8000;

/* What can follow #/. A view's module is loaded when it is first opened. */
const VIEWS = {
	'': { nav: 'Months', load: () => import('./months.js') },
	month: { load: () => import('./month.js') },
	book: { load: () => import('./book.js') },
	providers: { nav: 'Providers', load: () => import('./providers.js') },
	queue: { nav: 'Queue', load: () => import('./queue.js') },
	alerts: { nav: 'Alerts', load: () => import('./alerts.js') },
	instances: { nav: 'Instances', load: () => import('./instances.js') },
	audit: { nav: 'Audit', load: () => import('./audit.js') }
};

const STATES = { working: 'Working', waiting: 'Waiting', paused: 'Paused', idle: 'Idle', done: 'Done', empty: 'Empty' };

/* The state's name before the server's words, unless they begin with it. */
function sentence({ state, text }) {
	const name = STATES[state] ?? state;
	return text.startsWith(name) ? text : `${name}: ${text}`;
}

const root = document.getElementById('app');
const toasts = document.getElementById('toasts');
const said = document.getElementById('say');

/* Says something to those who listen to the page. */
function say(text) {
	said.textContent = '';
	requestAnimationFrame(() => { said.textContent = text; });
}

/* A note that goes by itself; an error stays until it is closed. */
function toast(text, kind = 'info') {
	const node = el('div', { class: 'toast', dataset: { kind } }, el('span', { text }),
		el('button', { type: 'button', class: 'quiet', 'aria-label': 'Close', on: { click: () => node.remove() } }, '×'));
	toasts.append(node);
	if (kind !== 'error')
		setTimeout(() => node.remove(), TOAST_MS);
	while (toasts.childElementCount > 4)
		toasts.firstElementChild.remove();
}

/* ---- the login ---- */

/* Shows the form; message says why it is back. */
function showLogin(message = '') {
	const secret = el('input', { id: 'secret', type: 'password', required: true, autocomplete: 'off',
		spellcheck: 'false', dataset: { test: 'login-secret' }, 'aria-describedby': 'login-problem' });
	const name = el('input', { id: 'name', type: 'text', maxlength: 60, autocomplete: 'off', value: session.name(),
		dataset: { test: 'login-name' } });
	const problem = el('p', { id: 'login-problem', class: 'problem', role: 'alert', text: message });
	const submit = el('button', { type: 'submit', class: 'primary', dataset: { test: 'login-submit' }, text: 'Open' });
	const form = el('form', { class: 'login', on: { submit: event => {
		event.preventDefault();
		logIn(secret, name.value.trim(), problem, submit);
	} } },
	el('h1', { text: 'Alexandria backfill' }),
	el('p', { class: 'muted', text: 'The secret stays in this tab and is forgotten with it.' }),
	el('label', { for: 'secret', text: 'Secret' }), secret,
	el('label', { for: 'name', text: 'Your name, for the audit (optional)' }), name,
	problem, submit);
	document.title = 'Alexandria backfill';
	clear(root).append(el('main', { id: 'main', class: 'login-page', tabindex: '-1' }, form));
	secret.focus();
}

/* Tries the secret; what it opens is the first thing shown. */
async function logIn(input, name, problem, submit) {
	if (submit.disabled)
		return;
	submit.disabled = true;
	setText(problem, '');
	const api = new Api(input.value, name);
	try {
		const overview = await api.get(OVERVIEW);
		session.keep(input.value, name);
		api.end();
		start(overview);
	} catch (error) {
		const wrong = error.status === 401;
		problem.textContent = wrong ? 'This secret is not the right one.' : `${error.message}.`;
		input.setAttribute('aria-invalid', String(wrong));
		input.select();
		input.focus();
	} finally {
		submit.disabled = false;
	}
}

/* ---- the seat: everything from the login to the lock ---- */

class Seat {
	#api;
	#latest = null;
	#readAt = null;		/* performance.now() of the answer that is shown */
	#asked = 0;		/* and of the newest question */
	#reading = null;
	#again = false;
	#failure = null;
	#timer = null;
	#ticker = null;
	#stream = null;
	#streamState = 'lost';
	#lastId = null;
	#view = null;
	#opening = 0;
	#hash = null;
	#parts = {};
	#onHash = () => this.#route();
	#onVisible = () => this.#visible();

	constructor(overview) {
		this.#api = new Api(session.secret(), session.name(),
			() => lock('The secret is no longer accepted.'));
		this.#latest = overview;
		this.#readAt = overview ? performance.now() : null;
		this.ctx = {
			api: this.#api,
			go: hash => { location.hash = hash; },
			overview: () => this.#latest,
			say,
			toast,
			refresh: () => this.refresh()
		};
	}

	/* Builds the frame and starts what runs. */
	begin() {
		this.#frame();
		window.addEventListener('hashchange', this.#onHash);
		document.addEventListener('visibilitychange', this.#onVisible);
		this.#ticker = setInterval(() => this.#paintAge(), 1000);
		if (this.#latest) {
			this.#lastId = this.#latest.last_event;
			this.#paint();
			this.#plan(READ_EVERY_MS);
			this.#follow();
		} else {
			this.refresh().then(() => this.#follow());
		}
		this.#route();
	}

	/* Stops everything and forgets what was read. */
	end() {
		window.removeEventListener('hashchange', this.#onHash);
		document.removeEventListener('visibilitychange', this.#onVisible);
		clearInterval(this.#ticker);
		clearTimeout(this.#timer);
		this.#stream?.abort();
		this.#closeView();
		this.#opening++;
		this.#api.end();
		this.#latest = null;
	}

	/* ---- reading ---- */

	/* Reads the overview now; while one is under way, once more after it. */
	refresh() {
		if (this.#reading) {
			this.#again = true;
			return this.#reading;
		}
		clearTimeout(this.#timer);
		this.#timer = null;
		this.#reading = this.#read();
		return this.#reading;
	}

	async #read() {
		do {
			this.#again = false;
			this.#asked = performance.now();
			try {
				this.#latest = await this.#api.get(OVERVIEW);
				this.#readAt = performance.now();
				this.#failure = null;
			} catch (error) {
				this.#failure = error;
			}
			if (seat !== this)
				return;
			if (!this.#failure)
				this.#paint();
		} while (this.#again);
		this.#reading = null;
		this.#paintAge();
		this.#plan(this.#failure ? 5000 : READ_EVERY_MS);
	}

	/* The next reading, unless an earlier one is planned. */
	#plan(ms) {
		if (document.hidden || this.#reading)
			return;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.refresh(), ms);
	}

	/* An event: the view shows it at once, the overview that follows has everything right. */
	#onEvent(event) {
		if (event.id !== null)
			this.#lastId = event.id;
		if (event.event === 'gap')
			this.refresh();
		else
			this.#view?.event?.(event);
		if (!this.#soon)
			this.#soon = setTimeout(() => {
				this.#soon = null;
				if (seat === this && !document.hidden)
					this.refresh();
			}, Math.max(300, READ_APART_MS - (performance.now() - this.#asked)));
	}
	#soon = null;

	/* Follows the events; a browser has six connections to a host, so only the tab that is seen holds one. */
	#follow() {
		if (seat !== this || this.#stream || document.hidden)
			return;
		this.#stream = new AbortController();
		this.#api.events(this.#lastId ?? this.#latest?.last_event ?? null, event => this.#onEvent(event),
			state => this.#onStream(state), this.#stream.signal);
	}

	/* The stream broke, or is back: either way a reading tells how things are. */
	#onStream(state) {
		const changed = this.#streamState !== state;
		this.#streamState = state;
		this.#paintAge();
		if (changed && (state === 'lost' || this.#failure))
			this.refresh();
	}

	/* The tab was hidden, or is seen again. */
	#visible() {
		if (document.hidden) {
			clearTimeout(this.#timer);
			this.#stream?.abort();
			this.#stream = null;
			this.#streamState = 'lost';
			return;
		}
		this.refresh();
		this.#follow();
	}

	/* ---- the frame ---- */

	#frame() {
		const p = this.#parts;
		p.instance = el('span', { class: 'instance' });
		p.banner = el('span', { dataset: { test: 'banner' } });
		p.state = el('p', { class: 'banner', role: 'status' }, el('span', { class: 'dot', 'aria-hidden': true }), p.banner);
		p.age = el('span', { dataset: { test: 'data-age' } });
		p.live = el('span', { class: 'live', dataset: { test: 'live' } });
		p.nav = el('ul', {});
		p.links = new Map();
		for (const [name, view] of Object.entries(VIEWS)) {
			if (!view.nav)
				continue;
			const link = el('a', { href: `#/${name}`, dataset: { test: `nav-${name || 'months'}` } }, view.nav);
			p.links.set(name, link);
			p.nav.append(el('li', {}, link));
		}
		p.badge = el('span', { class: 'badge', hidden: true, dataset: { test: 'alerts-badge' } });
		p.links.get('alerts').append(' ', p.badge);
		p.main = el('main', { id: 'main', tabindex: '-1' });
		p.header = el('header', { class: 'top' },
			el('div', { class: 'brand' }, el('a', { href: '#/', class: 'product', text: 'Alexandria backfill' }), p.instance),
			el('nav', { 'aria-label': 'Views' }, p.nav), p.state,
			el('div', { class: 'meta' }, p.live, p.age, themeButton(),
				el('button', { type: 'button', class: 'quiet', dataset: { test: 'lock' }, text: 'Lock',
					on: { click: () => lock() } })));
		clear(root).append(p.header, p.main);
	}

	/* Paints what the overview says about the whole, then the view. */
	#paint() {
		const { instance, version, progress, alerts } = this.#latest;
		const p = this.#parts;
		setText(p.instance, instance);
		p.instance.title = `backfilld ${version}`;
		p.state.dataset.state = progress.state;
		p.badge.hidden = alerts.length === 0;
		clear(p.badge).append(String(alerts.length), el('span', { class: 'sr', text: ' open' }));
		p.badge.dataset.severity = alerts.some(a => a.severity === 'critical') ? 'critical' : 'warning';
		this.#paintAge();
		this.#view?.update?.(this.#latest);
	}

	/* The state in a sentence; once nobody answers it is only what was known last. */
	#paintBanner(lost) {
		const progress = this.#latest?.progress;
		if (progress)
			setText(this.#parts.banner, `${lost ? 'Last known: ' : ''}${sentence(progress)}`);
	}

	/* How old the data are; a warning when too old, or when nobody answers. */
	#paintAge() {
		const { age, live, header } = this.#parts;
		const ms = this.#readAt === null ? null : performance.now() - this.#readAt;
		const bad = this.#failure !== null || (ms !== null && ms > OLD_MS);
		const old = ms === null ? 'no data yet' : `data ${fmt.duration(ms / 1000)} old`;
		setText(age, this.#failure ? `Connection lost, ${old}` : old);
		age.classList.toggle('warn', bad);
		header.classList.toggle('lost', bad);
		this.#paintBanner(bad);
		live.dataset.state = this.#streamState;
		setText(live, this.#streamState === 'live' ? 'live' : 'not live');
		live.title = this.#streamState === 'live' ? 'Events arrive as they happen' :
			'The stream of events is away; the page still reads every 30 s';
	}

	/* ---- views ---- */

	#closeView() {
		this.#view?.close?.();
		this.#view = null;
	}

	/* Opens what the address names. */
	async #route() {
		const [name = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/');
		const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
		const opening = ++this.#opening;
		const first = this.#hash === null;
		this.#hash = location.hash;
		for (const [key, link] of this.#parts.links) {
			const current = key === name || (key === '' && name === 'month');
			if (current)
				link.setAttribute('aria-current', key === name ? 'page' : 'true');
			else
				link.removeAttribute('aria-current');
		}
		let opened;
		try {
			if (!view)
				throw new Error('There is no such page.');
			const module = await view.load();
			if (opening !== this.#opening)
				return;
			this.#closeView();
			opened = module.open(this.ctx, rest.map(decodeURIComponent).join('/'));
		} catch (error) {
			if (opening !== this.#opening)
				return;
			this.#closeView();
			opened = failedView(error, () => this.#route());
		}
		this.#show(opened, first);
	}

	#show(view, first) {
		const { main } = this.#parts;
		this.#view = view;
		clear(main);
		let heading = view.node.querySelector('h1');
		if (!heading) {
			heading = el('h1', { text: view.title });
			main.append(heading);
		}
		heading.tabIndex = -1;
		main.append(view.node);
		document.title = `${view.title} · Alexandria backfill`;
		if (this.#latest)
			view.update?.(this.#latest);
		if (!first) {
			heading.focus({ preventScroll: true });
			window.scrollTo(0, 0);
		}
	}
}

/* What is shown when a view can't be. */
function failedView(error, again) {
	return { title: 'Not available', node: el('div', { class: 'panel' },
		el('p', { class: 'problem', text: `This page could not be shown: ${error.message}` }),
		el('button', { type: 'button', text: 'Try again', on: { click: again } }),
		' ', el('a', { href: '#/', text: 'Months' })) };
}

/* ---- from one to the other ---- */

let seat = null;

/* Opens the seat with the secret of this tab; the overview that proved it is shown first. */
function start(overview = null) {
	seat?.end();
	seat = new Seat(overview);
	seat.begin();
}

/* Forgets the secret and takes away everything that was shown. */
function lock(message = '') {
	if (!seat)
		return;
	seat.end();
	seat = null;
	session.forget();
	for (const dialog of document.querySelectorAll('dialog'))
		dialog.remove();
	clear(toasts);
	clear(said);
	history.replaceState(null, '', location.pathname);
	showLogin(message);
}

/* The skip link must not change the address, which names the view. */
document.getElementById('skip').addEventListener('click', event => {
	event.preventDefault();
	document.getElementById('main')?.focus();
});

/* While the page scrolls nothing reacts to the pointer: what passes below it would be repainted each time. */
let scrolled = null;
window.addEventListener('scroll', () => {
	document.body.classList.add('scrolling');
	clearTimeout(scrolled);
	scrolled = setTimeout(() => document.body.classList.remove('scrolling'), 120);
}, { passive: true });

if (session.secret())
	start();
else
	showLogin();
