/*
 * hub.c - task hubs: the role and the queue of each, and the tokens that authenticate clients.
 *
 * A hub is a role of the database and a queue.  Without a file there is one hub, regardless of
 * the name that clients give.  Its role is that of requests without a token.  JSON Web Tokens
 * are for HTTP.  The tokens of hubs are any text, and the file has their SHA-256 hashes.
 *
 * Lines of the file:
 *
 *		hub NAME ROLE QUEUE
 *		token NAME SHA256
 *
 * A hub that has tokens is open to those that have one of them.
 *
 * Owns: the hubs.
 * Called by: listen.c, call.c.
 * Memory: hubs live as long as the program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "grpc.h"

#define DIGEST_LENGTH	32
#define LONGEST_TOKEN	4096

typedef struct HubToken
{
	struct HubToken *next;
	unsigned char digest[DIGEST_LENGTH];
} HubToken;

static Hub *hubs;

static bool read_line(char *line, int number);
static Hub *add_hub(const char *name, const char *role, const char *queue);
static Hub *find(const char *name);
static bool add_token(Hub *hub, const char *hex);
static bool has_token(const Hub *hub, const unsigned char *digest);

bool
hubs_configure(void)
{
	FILE	   *file;
	char		line[1024];
	int			number = 0;
	bool		good = true;

	if (grpc_options.hubs == NULL)
	{
		add_hub("default", options.role, grpc_options.queue != NULL ? grpc_options.queue : "default");
		return true;
	}
	file = fopen(grpc_options.hubs, "r");
	if (file == NULL)
	{
		complain("could not open \"%s\"", grpc_options.hubs);
		return false;
	}
	while (good && fgets(line, sizeof(line), file) != NULL)
		good = read_line(line, ++number);
	fclose(file);
	if (good && hubs == NULL)
	{
		complain("there is no hub in \"%s\"", grpc_options.hubs);
		good = false;
	}
	return good;
}

bool
hubs_need_tokens(void)
{
	for (Hub *hub = hubs; hub != NULL; hub = hub->next)
		if (hub->tokens == NULL)
			return false;
	return true;
}

static bool
read_line(char *line, int number)
{
	char	   *words[5];
	int			n = 0;
	char	   *rest = NULL;
	Hub		   *hub;

	for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL && n < 5; word = strtok_r(NULL, " \t\r\n", &rest))
		words[n++] = word;
	if (n == 0 || words[0][0] == '#')
		return true;
	if (n == 4 && strcmp(words[0], "hub") == 0 && find(words[1]) == NULL)
	{
		add_hub(words[1], words[2], words[3]);
		return true;
	}
	if (n == 3 && strcmp(words[0], "token") == 0 && (hub = find(words[1])) != NULL && add_token(hub, words[2]))
		return true;
	complain("line %d of \"%s\" is not valid; lines are \"hub NAME ROLE QUEUE\" and \"token NAME SHA256\"", number, grpc_options.hubs);
	return false;
}

static Hub *
add_hub(const char *name, const char *role, const char *queue)
{
	Hub		   *hub = must_alloc(sizeof(Hub));
	Hub		  **end = &hubs;

	hub->name = must_copy(name);
	hub->role = must_copy(role);
	hub->queue = must_copy(queue);
	while (*end != NULL)
		end = &(*end)->next;
	*end = hub;
	return hub;
}

static Hub *
find(const char *name)
{
	for (Hub *hub = hubs; hub != NULL; hub = hub->next)
		if (strcmp(hub->name, name) == 0)
			return hub;
	return NULL;
}

static bool
add_token(Hub *hub, const char *hex)
{
	HubToken   *token = must_alloc(sizeof(HubToken));

	for (int i = 0; i < DIGEST_LENGTH; i++)
	{
		unsigned	byte;

		if (strspn(hex, "0123456789abcdefABCDEF") != 2 * DIGEST_LENGTH || strlen(hex) != 2 * DIGEST_LENGTH ||
			sscanf(hex + 2 * i, "%2x", &byte) != 1)
		{
			free(token);
			return false;
		}
		token->digest[i] = (unsigned char) byte;
	}
	token->next = hub->tokens;
	hub->tokens = token;
	return true;
}

/*
 * If the client may not use the hub, returns NULL, and *problem is a sentence. The existence of a
 * hub is disclosed only to clients with a token.
 */
Hub *
hub_find(const char *name, const char *authorization, const char **problem)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned	length = 0;
	bool		has_digest = false;
	Hub		   *hub;

	*problem = NULL;
	if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0 && strlen(authorization) < LONGEST_TOKEN)
		has_digest = EVP_Digest(authorization + 7, strlen(authorization + 7), digest, &length, EVP_sha256(), NULL) == 1;
	if (grpc_options.hubs == NULL)
		return hubs;
	if (name != NULL && name[0] != '\0')
		hub = find(name);
	else
	{
		/* The hub of the token, or the only one. */
		for (hub = hubs; hub != NULL; hub = hub->next)
			if (has_digest && has_token(hub, digest))
				break;
		if (hub == NULL && hubs->next == NULL)
			hub = hubs;
	}
	if (hub == NULL || (hub->tokens != NULL && !(has_digest && has_token(hub, digest))))
	{
		*problem = has_digest ? "The token is not valid for this task hub." :
			hub == NULL ? "There is no such task hub, or it needs a token. Send the headers \"taskhub\" and \"authorization\"." :
			"The task hub needs a token. Send it in the header \"authorization: Bearer\".";
		return NULL;
	}
	return hub;
}

/* Compares all tokens, so that the time does not depend on the result. */
static bool
has_token(const Hub *hub, const unsigned char *digest)
{
	bool		found = false;

	for (const HubToken *token = hub->tokens; token != NULL; token = token->next)
		found |= CRYPTO_memcmp(token->digest, digest, DIGEST_LENGTH) == 0;
	return found;
}

Hub *
hub_next(Hub *hub)
{
	return hub == NULL ? hubs : hub->next;
}
