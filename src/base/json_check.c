/*
 * json_check: is this text one JSON document? RFC 8259 as a whole (values of any type at the top,
 * no byte order mark, no trailing anything), UTF-8 as in RFC 3629, and the caller's limits, in one
 * pass without recursion. jsmn, which cuts the text into tokens afterwards, does not check.
 */
#include "json.h"
#include <string.h>

/* What may come next. */
enum json_expect {
	JSON_VALUE, JSON_VALUE_OR_END, JSON_NAME, JSON_NAME_OR_END, JSON_COLON, JSON_COMMA_OR_END,
	JSON_EOF
};

struct json_checker {
	const char *text;
	size_t pos, len;
	int tokens, depth, max_depth;
	const char *wrong;		/* what is wrong at pos */
	bool is_object[JSON_MAX_DEPTH];	/* the containers around pos */
};

/* Notes what is wrong; always false. */
static bool json_wrong(struct json_checker *c, const char *what)
{
	c->wrong = what;
	return false;
}

/* True when pos stands on one of the decimal digits. */
static bool json_at_digit(const struct json_checker *c)
{
	return c->pos < c->len && c->text[c->pos] >= '0' && c->text[c->pos] <= '9';
}

/* Steps over digits; false when there is none. */
static bool json_check_digits(struct json_checker *c)
{
	if (!json_at_digit(c))
		return json_wrong(c, "a digit is missing");
	while (json_at_digit(c))
		c->pos++;
	return true;
}

/* Steps over a number: RFC 8259, section 6. */
static bool json_check_number(struct json_checker *c)
{
	if (c->text[c->pos] == '-')
		c->pos++;
	if (c->pos < c->len && c->text[c->pos] == '0') {
		c->pos++;
		if (json_at_digit(c))
			return json_wrong(c, "a number may not begin with 0");
	} else if (!json_check_digits(c)) {
		return false;
	}
	if (c->pos < c->len && c->text[c->pos] == '.') {
		c->pos++;
		if (!json_check_digits(c))
			return false;
	}
	if (c->pos < c->len && (c->text[c->pos] == 'e' || c->text[c->pos] == 'E')) {
		c->pos++;
		if (c->pos < c->len && (c->text[c->pos] == '+' || c->text[c->pos] == '-'))
			c->pos++;
		return json_check_digits(c);
	}
	return true;
}

/* Steps over an escape, pos on its backslash. */
static bool json_check_escape(struct json_checker *c)
{
	if (++c->pos >= c->len)
		return json_wrong(c, "the string does not end");
	if (c->text[c->pos] != 'u') {
		if (!c->text[c->pos] || !strchr("\"\\/bfnrt", c->text[c->pos]))
			return json_wrong(c, "no such escape");
		c->pos++;
		return true;
	}
	c->pos++;
	for (int i = 0; i < 4; i++, c->pos++)
		if (c->pos >= c->len || !c->text[c->pos] ||
		    !strchr("0123456789abcdefABCDEF", c->text[c->pos]))
			return json_wrong(c, "\\u needs four hexadecimal digits");
	return true;
}

/* Steps over a string, pos on its opening quote. */
static bool json_check_string(struct json_checker *c)
{
	c->pos++;
	while (c->pos < c->len) {
		unsigned char ch = (unsigned char)c->text[c->pos];

		if (ch == '"') {
			c->pos++;
			return true;
		}
		if (ch < 0x20)
			return json_wrong(c, "a control character in a string");
		if (ch != '\\')
			c->pos++;
		else if (!json_check_escape(c))
			return false;
	}
	return json_wrong(c, "the string does not end");
}

/* Steps over null, true or false. */
static bool json_check_word(struct json_checker *c)
{
	static const char *const words[] = { "null", "true", "false" };

	for (size_t i = 0; i < BF_COUNT(words); i++) {
		size_t n = strlen(words[i]);

		if (c->len - c->pos >= n && memcmp(c->text + c->pos, words[i], n) == 0) {
			c->pos += n;
			return true;
		}
	}
	return json_wrong(c, "a value is missing");
}

/* Opens an object or array at pos. */
static bool json_check_open(struct json_checker *c, enum json_expect *expect)
{
	bool object = c->text[c->pos] == '{';

	if (c->depth >= c->max_depth)
		return json_wrong(c, "nested too deep");
	c->is_object[c->depth++] = object;
	c->pos++;
	*expect = object ? JSON_NAME_OR_END : JSON_VALUE_OR_END;
	return true;
}

/* Closes the innermost container if pos stands on its bracket. */
static bool json_check_close(struct json_checker *c, enum json_expect *expect)
{
	if (c->text[c->pos] != (c->is_object[c->depth - 1] ? '}' : ']'))
		return false;
	c->depth--;
	c->pos++;
	*expect = c->depth ? JSON_COMMA_OR_END : JSON_EOF;
	return true;
}

/* Takes one value; a container is only opened. */
static bool json_check_value(struct json_checker *c, enum json_expect *expect)
{
	char ch = c->text[c->pos];

	c->tokens++;
	if (ch == '{' || ch == '[')
		return json_check_open(c, expect);
	*expect = c->depth ? JSON_COMMA_OR_END : JSON_EOF;
	if (ch == '"')
		return json_check_string(c);
	if (ch == '-' || (ch >= '0' && ch <= '9'))
		return json_check_number(c);
	return json_check_word(c);
}

/* Takes one member's name. */
static bool json_check_name(struct json_checker *c, enum json_expect *expect)
{
	if (c->text[c->pos] != '"')
		return json_wrong(c, "a member's name is missing");
	c->tokens++;
	*expect = JSON_COLON;
	return json_check_string(c);
}

/* Takes what is due at pos, which is not white space, and says what is due next. */
static bool json_check_step(struct json_checker *c, enum json_expect *expect)
{
	switch (*expect) {
	case JSON_VALUE_OR_END:
		return json_check_close(c, expect) || json_check_value(c, expect);
	case JSON_VALUE:
		return json_check_value(c, expect);
	case JSON_NAME_OR_END:
		return json_check_close(c, expect) || json_check_name(c, expect);
	case JSON_NAME:
		return json_check_name(c, expect);
	case JSON_COLON:
		if (c->text[c->pos] != ':')
			return json_wrong(c, "a colon is missing");
		c->pos++;
		*expect = JSON_VALUE;
		return true;
	case JSON_COMMA_OR_END:
		if (json_check_close(c, expect))
			return true;
		if (c->text[c->pos] != ',')
			return json_wrong(c, "a comma or a closing bracket is missing");
		c->pos++;
		*expect = c->is_object[c->depth - 1] ? JSON_NAME : JSON_VALUE;
		return true;
	case JSON_EOF:
		return json_wrong(c, "more text after the end");
	}
	return json_wrong(c, "unknown state");
}

/* Runs over the whole text. */
static bool json_check_run(struct json_checker *c, int max_tokens)
{
	enum json_expect expect = JSON_VALUE;

	for (;;) {
		while (c->pos < c->len && c->text[c->pos] && strchr(" \t\n\r", c->text[c->pos]))
			c->pos++;
		if (c->pos >= c->len)
			return expect == JSON_EOF || json_wrong(c, "the text ends too early");
		if (!json_check_step(c, &expect))
			return false;
		if (c->tokens > max_tokens)
			return json_wrong(c, "too many values");
	}
}

int json_check(const char *text, size_t len, const struct bf_json_limits *limits,
	       struct bf_error *err)
{
	struct json_checker c = { .text = text, .len = len, .max_depth = limits->max_depth };

	if (c.max_depth > JSON_MAX_DEPTH)
		c.max_depth = JSON_MAX_DEPTH;
	/* jsmn counts positions in int */
	if (len > limits->max_bytes || len >= INT32_MAX) {
		bf_error_set(err, BF_ERR_PERMANENT, "JSON of %zu bytes: more than the %zu allowed",
			     len, limits->max_bytes);
		return -1;
	}
	if (!bf_utf8_valid(text, len)) {
		bf_error_set(err, BF_ERR_PERMANENT, "JSON: not valid UTF-8");
		return -1;
	}
	if (!json_check_run(&c, limits->max_tokens)) {
		bf_error_set(err, BF_ERR_PERMANENT, "JSON: %s at byte %zu", c.wrong, c.pos);
		return -1;
	}
	return c.tokens;
}
