/*-------------------------------------------------------------------------
 *
 * verbatim.c
 *		Stores payloads of external orchestrations, which are texts, byte for byte.
 *
 * A text is converted to jsonb where it goes from an external orchestration to SQL.  That
 * happens in units of work, which must not fail because of a text that a program has
 * sent.  So the text is first checked here, by rules that are stricter than those of the
 * type's input function: a text that the input function might refuse is a string.
 *
 * Owns:	the form of these payloads
 * Called by: files of all higher layers
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "json.h"
#include "verbatim.h"

/* A text that is deeper, or has longer numbers, stays a string. */
#define DEEPEST			500
#define LONGEST_NUMBER	300
#define LARGEST_EXPONENT	300

static bool is_json(const char *text);
static bool value(const char **c, int depth);
static bool members(const char **c, char end, int depth);
static bool string(const char **c);
static bool escape(const char **c, int *first_half);
static bool number(const char **c);
static int	digits(const char **c);
static void space(const char **c);

const char *
durable_verbatim_queue(const char *handler)
{
	return strncmp(handler, HANDLER_EXTERNAL, strlen(HANDLER_EXTERNAL)) == 0 ?
		handler + strlen(HANDLER_EXTERNAL) : NULL;
}

char *
durable_verbatim_handler(const char *queue)
{
	return psprintf("%s%s", HANDLER_EXTERNAL, queue);
}

Jsonb *
durable_verbatim_wrap(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : durable_json_text(text);
}

char *
durable_verbatim_unwrap(const Jsonb *payload)
{
	JsonbValue	root;

	if (payload == NULL)
		return NULL;
	durable_json_root(payload, &root);
	if (root.type == jbvString)
		return pnstrdup(root.val.string.val, root.val.string.len);
	return JsonbToCString(NULL, unconstify(JsonbContainer *, &payload->root), VARSIZE(payload));
}

Jsonb *
durable_verbatim_from_json(const Jsonb *value)
{
	return value == NULL ? NULL :
		durable_json_text(JsonbToCString(NULL, unconstify(JsonbContainer *, &value->root), VARSIZE(value)));
}

Jsonb *
durable_verbatim_to_json(const Jsonb *payload)
{
	char	   *text = durable_verbatim_unwrap(payload);

	if (text == NULL)
		return NULL;
	if (!is_json(text))
		return unconstify(Jsonb *, payload);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

Jsonb *
durable_verbatim_convert(const Jsonb *payload, bool is_text, bool wants_text)
{
	if (is_text == wants_text)
		return unconstify(Jsonb *, payload);
	return wants_text ? durable_verbatim_from_json(payload) : durable_verbatim_to_json(payload);
}

/* --- the check for JSON ------------------------------------------------------------------- */

static bool
is_json(const char *text)
{
	space(&text);
	if (!value(&text, 0))
		return false;
	space(&text);
	return *text == '\0';
}

static bool
value(const char **c, int depth)
{
	static const char *const words[] = {"true", "false", "null"};

	if (depth > DEEPEST)
		return false;
	switch (**c)
	{
		case '{':
			return members(c, '}', depth + 1);
		case '[':
			return members(c, ']', depth + 1);
		case '"':
			return string(c);
		default:
			for (int i = 0; i < lengthof(words); i++)
				if (strncmp(*c, words[i], strlen(words[i])) == 0)
				{
					*c += strlen(words[i]);
					return true;
				}
			return number(c);
	}
}

/* Checks the members of an object or an array. */
static bool
members(const char **c, char end, int depth)
{
	(*c)++;
	space(c);
	if (**c == end)
	{
		(*c)++;
		return true;
	}
	for (;;)
	{
		if (end == '}')
		{
			if (**c != '"' || !string(c))
				return false;
			space(c);
			if (*(*c)++ != ':')
				return false;
			space(c);
		}
		if (!value(c, depth))
			return false;
		space(c);
		if (**c == end)
		{
			(*c)++;
			return true;
		}
		if (*(*c)++ != ',')
			return false;
		space(c);
	}
}

static bool
string(const char **c)
{
	int			first_half = 0; /* of a surrogate pair */

	for ((*c)++; **c != '"'; (*c)++)
	{
		if ((unsigned char) **c < ' ')
			return false;		/* the end is one of these */
		if (**c == '\\')
		{
			(*c)++;
			if (!escape(c, &first_half))
				return false;
		}
		else if (first_half != 0)
			return false;
	}
	(*c)++;
	return first_half == 0;
}

/* Begins at the character after the backslash, and ends at the last one of the escape. */
static bool
escape(const char **c, int *first_half)
{
	int			code = 0;

	if (**c != 'u')
		return *first_half == 0 && **c != '\0' && strchr("\"\\/bfnrt", **c) != NULL;
	for (int i = 0; i < 4; i++)
	{
		char		digit = *++(*c);

		if (digit >= '0' && digit <= '9')
			code = code * 16 + digit - '0';
		else if (digit >= 'a' && digit <= 'f')
			code = code * 16 + digit - 'a' + 10;
		else if (digit >= 'A' && digit <= 'F')
			code = code * 16 + digit - 'A' + 10;
		else
			return false;
	}
	if (code == 0 || (code > 127 && GetDatabaseEncoding() != PG_UTF8))
		return false;
	if (code >= 0xdc00 && code <= 0xdfff)
	{
		if (*first_half == 0)
			return false;
		*first_half = 0;
		return true;
	}
	if (*first_half != 0)
		return false;
	if (code >= 0xd800 && code <= 0xdbff)
		*first_half = code;
	return true;
}

static bool
number(const char **c)
{
	const char *start = *c;
	const char *exponent;

	if (**c == '-')
		(*c)++;
	if (**c == '0')
		(*c)++;
	else if (digits(c) == 0)
		return false;
	if (**c == '.')
	{
		(*c)++;
		if (digits(c) == 0)
			return false;
	}
	if (**c == 'e' || **c == 'E')
	{
		(*c)++;
		if (**c == '-' || **c == '+')
			(*c)++;
		exponent = *c;
		if (digits(c) == 0 || *c - exponent > 5 || atoi(exponent) > LARGEST_EXPONENT)
			return false;
	}
	return *c - start <= LONGEST_NUMBER;
}

static int
digits(const char **c)
{
	const char *start = *c;

	while (**c >= '0' && **c <= '9')
		(*c)++;
	return *c - start;
}

static void
space(const char **c)
{
	while (**c == ' ' || **c == '\t' || **c == '\n' || **c == '\r')
		(*c)++;
}
