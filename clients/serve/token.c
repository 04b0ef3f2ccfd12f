/*
 * token.c - verifies the signatures of JSON Web Tokens.
 *
 * The key of the command line determines the algorithm, and not the token: HS256 with a
 * secret, RS256 with a public key.  The JSON in a token is not read here.  In the database,
 * durable.http_token_role reads it after the signature has been verified.
 *
 * Owns: the key.
 * Called by: serve.c, request.c.
 * Memory: a Token owns its texts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "serve.h"

#define LONGEST_TOKEN	8192
#define SHORTEST_SECRET 32

static unsigned char secret[4096];
static size_t secret_length;
static EVP_PKEY *public_key;

static bool is_configured(void);
static char *decode(const char *text, size_t length, size_t *decoded_length);

bool
token_configure(void)
{
	FILE	   *file;
	const char *name = options.secret_file != NULL ? options.secret_file : options.public_key_file;

	if (name == NULL)
		return true;
	if (options.secret_file != NULL && options.public_key_file != NULL)
	{
		complain("--secret-file and --public-key cannot be used together");
		return false;
	}
	if (options.audience == NULL)
	{
		complain("tokens require --audience");
		return false;
	}
	file = fopen(name, "r");
	if (file == NULL)
	{
		complain("could not open \"%s\"", name);
		return false;
	}
	if (options.secret_file != NULL)
	{
		secret_length = fread(secret, 1, sizeof(secret), file);
		while (secret_length > 0 && (secret[secret_length - 1] == '\n' || secret[secret_length - 1] == '\r'))
			secret_length--;
		fclose(file);
		if (secret_length < SHORTEST_SECRET)
		{
			complain("the secret in \"%s\" has less than %d bytes", name, SHORTEST_SECRET);
			return false;
		}
		return true;
	}
	public_key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
	fclose(file);
	if (public_key == NULL || EVP_PKEY_base_id(public_key) != EVP_PKEY_RSA || EVP_PKEY_bits(public_key) < 2048)
	{
		complain("there is no public RSA key of 2048 bits or more in \"%s\"", name);
		return false;
	}
	return true;
}

static bool
is_configured(void)
{
	return secret_length > 0 || public_key != NULL;
}

const char *
token_algorithm(void)
{
	return public_key != NULL ? "RS256" : "HS256";
}

bool
token_verify(const char *bearer, Token *token)
{
	const char *claims = strchr(bearer, '.');
	const char *signature = claims != NULL ? strchr(claims + 1, '.') : NULL;
	size_t		length,
				ignored;
	unsigned char *bytes;
	bool		right = false;

	token->header = token->claims = NULL;
	if (!is_configured() || strlen(bearer) > LONGEST_TOKEN || signature == NULL || strchr(signature + 1, '.') != NULL)
		return false;
	bytes = (unsigned char *) decode(signature + 1, strlen(signature + 1), &length);
	if (bytes == NULL)
		return false;
	if (public_key != NULL)
	{
		EVP_MD_CTX *context = EVP_MD_CTX_new();

		right = context != NULL &&
			EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, public_key) == 1 &&
			EVP_DigestVerify(context, bytes, length, (const unsigned char *) bearer, (size_t) (signature - bearer)) == 1;
		EVP_MD_CTX_free(context);
	}
	else
	{
		unsigned char expected[EVP_MAX_MD_SIZE];
		unsigned	expected_length = 0;

		right = HMAC(EVP_sha256(), secret, (int) secret_length, (const unsigned char *) bearer, (size_t) (signature - bearer),
					 expected, &expected_length) != NULL &&
			length == expected_length && CRYPTO_memcmp(bytes, expected, length) == 0;
	}
	free(bytes);
	if (!right)
		return false;
	token->header = decode(bearer, (size_t) (claims - bearer), &length);
	token->claims = decode(claims + 1, (size_t) (signature - claims - 1), &ignored);
	if (token->header == NULL || token->claims == NULL || strlen(token->header) != length || strlen(token->claims) != ignored)
	{
		token_free(token);
		return false;
	}
	return true;
}

void
token_free(Token *token)
{
	free(token->header);
	free(token->claims);
	token->header = token->claims = NULL;
}

bool
secret_equal(const char *a, const char *b)
{
	return a != NULL && b != NULL && strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

/* base64url without padding; NULL: it is not that.  The result ends with a zero byte. */
static char *
decode(const char *text, size_t length, size_t *decoded_length)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char	   *decoded = must_alloc(length + 1);
	uint32_t	bits = 0;
	int			nbits = 0;
	size_t		n = 0;

	for (size_t i = 0; i < length; i++)
	{
		const char *at = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

		if (at == NULL)
		{
			free(decoded);
			return NULL;
		}
		bits = (bits << 6) | (uint32_t) (at - alphabet);
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			decoded[n++] = (char) ((bits >> nbits) & 0xff);
		}
	}
	if (nbits >= 6 || (bits & ((1u << nbits) - 1)) != 0)
	{
		free(decoded);
		return NULL;
	}
	decoded[n] = '\0';
	*decoded_length = n;
	return decoded;
}
